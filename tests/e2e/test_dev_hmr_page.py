"""Pages of `longwave dev` in Chromium: they follow the files, show what is wrong, come back with it."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import in_chromium, watch
from tests.e2e.process import ServerProcess, free_port

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, WebSocket

pytestmark = pytest.mark.browser

ROUTES = "src/server/routes/"
HTML = """<!doctype html><html><head><link rel=stylesheet href=/style.css>
<title>first</title></head><body><h1>Words</h1><p>Text</p><input></body></html>"""
TICK = "def get(event):\n    return {'tick': 1}\n"
STRICT = """
from longwave import Response
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
def get(event):
    headers = {"content-security-policy": POLICY + "require-trusted-types-for 'script'; trusted-types 'none'"}
    return Response.html("<!doctype html><title>strict</title><p>strict", headers=headers)
"""
FILES = {
    "index.html": HTML,
    "public/other.html": HTML.replace("first", "other"),
    "public/style.css": "@import '/base.css';\nh1 { color: rgb(1, 1, 1) }\n",
    "public/base.css": "p { color: rgb(1, 1, 1) }\n",
    ROUTES + "tick.py": TICK,
    ROUTES + "strict.py": STRICT,
    ROUTES + "bold.py": TICK,
}
WRONG = "def get(event):\n    return {'tick': 1\n\n\ndef other() -> None:\n    pass\n"
OVERLAY = "longwave-error dialog"


def make(root: Path) -> Path:
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = make(tmp_path_factory.mktemp("page"))
    editor = root / "editor"
    editor.write_text(f'#!/bin/sh\necho "$@" > {root}/told && mv {root}/told {root}/opened\n')
    editor.chmod(0o755)
    with ServerProcess(root, command="dev", env={"LONGWAVE_EDITOR": f"{editor} {{file}}:{{line}}"}) as server:
        yield server


@pytest.fixture(autouse=True)
def as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "served" in request.fixturenames:
        root = request.getfixturevalue("served").root
        for name, text in FILES.items():
            if not (root / name).exists() or (root / name).read_text() != text:
                (root / name).write_text(text)


class Tab:
    """A page that is connected, what it did since, and the WebSockets that it opened."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors = watch(page)
        self.sockets: list[WebSocket] = []
        page.on("websocket", lambda socket: self.sockets.append(socket))
        page.set_default_timeout(30_000)

    @classmethod
    async def open(cls, browser: Browser, url: str) -> Tab:
        tab = cls(await browser.new_page())
        await tab.connected(tab.page.goto(url))
        await tab.page.evaluate("window.kept = true")
        return tab

    async def connected(self, work: object = None) -> None:
        """Wait until the page of the moment is told that it is connected."""
        async with self.page.expect_console_message(lambda said: said.text == "[longwave] connected"):
            if work is not None:
                await work  # type: ignore[misc]

    async def reloads(self, work: object = None) -> None:
        """Do something and wait until it made another document of the page, which is connected again."""
        await self.connected(work)
        assert await self.page.evaluate("window.kept") is None
        await self.page.evaluate("window.kept = true")

    async def has(self, selector: str, colour: str) -> None:
        """Wait until what is selected has a colour."""
        script = "([selector, colour]) => getComputedStyle(document.querySelector(selector)).color === colour"
        await self.page.wait_for_function(script, arg=[selector, colour])

    async def is_the_same(self) -> None:
        """Check that the page was not loaded anew, and never lost its connection."""
        assert await self.page.evaluate("window.kept") is True
        assert len(self.sockets) == 1 and not self.sockets[0].is_closed()
        assert self.errors == []


async def write(path: Path, text: str) -> None:
    path.write_text(text)


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_style_is_exchanged_in_place(served: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        tab = await Tab.open(browser, served.url)
        await tab.page.fill("input", "half a sentence")
        # The page is never without a style: its text would be black.
        await tab.page.evaluate("""() => {
            window.seen = new Set();
            const look = () => {
                seen.add(getComputedStyle(document.querySelector("h1")).color);
                requestAnimationFrame(look);
            };
            look();
        }""")
        style, base = served.root / "public/style.css", served.root / "public/base.css"
        for shade in range(2, 6):
            style.write_text(FILES["public/style.css"].replace("1, 1, 1", f"{shade}, 0, 0"))
            await tab.has("h1", f"rgb({shade}, 0, 0)")
        base.write_text("p { color: rgb(0, 9, 0) }")
        await tab.has("p", "rgb(0, 9, 0)")
        assert "rgb(0, 0, 0)" not in await tab.page.evaluate("[...seen]")
        assert await tab.page.input_value("input") == "half a sentence"
        assert await tab.page.locator("link").count() == 1
        await tab.is_the_same()

    in_chromium(scenario)


def test_a_page_is_loaded_anew_by_those_who_show_it(served: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        first, other = await Tab.open(browser, served.url), await Tab.open(browser, f"{served.url}other.html")
        edited = HTML.replace("first", "edited")
        await other.reloads(write(served.root / "public/other.html", edited))
        assert await other.page.title() == "edited"
        await first.is_the_same()
        await first.reloads(write(served.root / "index.html", edited))
        assert await first.page.title() == "edited"
        # What anything may use concerns all.
        await first.reloads(write(served.root / "public/code.js", "1"))

    in_chromium(scenario)


def test_an_error_lies_over_the_page_until_it_is_mended(served: ServerProcess) -> None:
    route = served.root / ROUTES / "tick.py"

    async def scenario(browser: Browser) -> None:
        tab = await Tab.open(browser, served.url)
        page, overlay = tab.page, tab.page.locator(OVERLAY)
        await page.focus("input")
        await page.evaluate("addEventListener('longwave:swapped', (event) => { window.news = event.detail })")
        route.write_text(WRONG)
        await overlay.wait_for()
        text = await overlay.inner_text()
        assert "SyntaxError: '{' was never closed" in text
        assert f"{ROUTES}tick.py, line 2" in text and "return {'tick': 1" in text
        assert await overlay.get_attribute("role") == "alertdialog"
        assert await page.evaluate("document.activeElement.localName") == "longwave-error"

        route.write_text(TICK)
        await overlay.wait_for(state="detached")
        await page.wait_for_function("window.news?.mended === true")
        assert await page.evaluate("news.files") == [f"{ROUTES}tick.py"]
        assert await page.evaluate("document.activeElement.localName") == "input"
        await tab.is_the_same()

        # It can be closed in two ways, and comes back with the next error; one is there at a time.
        for close in (page.keyboard.press("Escape"), page.mouse.click(3, 3)):
            route.write_text(WRONG)
            await overlay.wait_for()
            assert await overlay.count() == 1
            await overlay.locator("h1").click()
            assert await overlay.is_visible()
            await close
            await overlay.wait_for(state="detached")
            route.write_text(WRONG + "# more\n")
            await overlay.wait_for()
            # Who comes now sees it too.
            late = await browser.new_page()
            await late.goto(served.url)
            await late.locator(OVERLAY).wait_for()
            await late.close()
            route.write_text(TICK)
            await overlay.wait_for(state="detached")
        await tab.is_the_same()

    in_chromium(scenario)


def test_what_is_wrong_is_text_and_opens_in_the_editor(served: ServerProcess) -> None:
    route, opened = served.root / ROUTES / "bold.py", served.root / "opened"

    async def scenario(browser: Browser) -> None:
        # No style and no markup of others is let in here.
        tab = await Tab.open(browser, f"{served.url}strict")
        overlay = tab.page.locator(OVERLAY)
        said: list[str] = []
        tab.page.on("console", lambda message: said.append(message.text))
        route.write_text(TICK + "raise ValueError('<img src=x onerror=alert(1)>')\n")
        await overlay.wait_for()
        text = await overlay.inner_text()
        assert "ValueError: <img src=x onerror=alert(1)>" in text and f"{ROUTES}bold.py, line 3" in text
        assert await overlay.locator("img, b").count() == 0
        background = await overlay.evaluate("node => getComputedStyle(node).backgroundColor")
        assert background == "rgb(23, 25, 28)"

        await overlay.get_by_role("button").click()
        await overlay.get_by_text("Opened").wait_for()
        async with asyncio.timeout(10):
            while not opened.exists():
                await asyncio.sleep(0.01)
        assert opened.read_text() == f"{route}:3\n"
        assert not [line for line in said if "Content Security Policy" in line or "Trusted" in line], said
        await tab.is_the_same()

    in_chromium(scenario)


def test_the_page_of_an_error_goes_when_it_is_mended(served: ServerProcess) -> None:
    route = served.root / ROUTES / "late.py"
    page = "from longwave import Response\ndef get(event):\n    return Response.html('<p>{}')\n"

    async def scenario(browser: Browser) -> None:
        tab = Tab(await browser.new_page())
        await tab.connected(tab.page.goto(f"{served.url}late"))
        assert "404" in await tab.page.inner_text("h1")
        # Here it is a new route, there one that cannot be loaded, and one that fails.
        await tab.connected(write(route, page.format("here")))
        await tab.page.get_by_text("here").wait_for()
        await write(route, "import nothing_of_this_name\n")
        await tab.page.locator(OVERLAY).wait_for()
        await write(route, page.replace("Response.html(", "1 / 0, (").format("x"))
        await tab.page.locator(OVERLAY).wait_for(state="detached")
        await tab.connected(tab.page.reload())
        assert "ZeroDivisionError" in await tab.page.inner_text("h1")
        await tab.connected(write(route, page.format("mended")))
        await tab.page.get_by_text("mended").wait_for()

    in_chromium(scenario)


def test_it_comes_back_with_the_server_at_a_port_and_path_of_its_own(tmp_path: Path) -> None:
    own = free_port()
    hmr = f'[tool.longwave.server.hmr]\nport = {own}\npath = "vite-hmr"\n'
    (make(tmp_path) / "pyproject.toml").write_text(hmr)

    async def scenario(browser: Browser) -> None:
        tab = await Tab.open(browser, server.url)
        (socket,) = tab.sockets
        assert socket.url.startswith(f"ws://127.0.0.1:{own}/vite-hmr?token=")
        (tmp_path / "public/style.css").write_text("h1 { color: rgb(7, 7, 7) }")
        await tab.has("h1", "rgb(7, 7, 7)")
        await tab.is_the_same()

        # A page that nobody sees does not look for the server.
        await tab.page.evaluate("""() => {
            Object.defineProperty(document, "visibilityState", { get: () => window.sight });
            window.sight = "hidden";
        }""")
        async with tab.page.expect_console_message(lambda said: "connection lost" in said.text):
            await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        # That takes longer than a page waits which is seen.
        assert len(tab.sockets) == 1
        seen = "window.sight = 'visible'; document.dispatchEvent(new Event('visibilitychange'))"
        await tab.reloads(tab.page.evaluate(seen))

        # Another worker, the same sockets to listen at. There is nothing at the port of the proxy.
        settings = f"{hmr}client_port = {free_port()}\noverlay = false\n"
        await tab.reloads(write(tmp_path / "pyproject.toml", settings))
        assert tab.sockets[-1].url.startswith(f"ws://127.0.0.1:{own}/vite-hmr?token=")
        async with tab.page.expect_console_message(lambda said: "was never closed" in said.text):
            (tmp_path / ROUTES / "tick.py").write_text(WRONG)
        assert await tab.page.locator(OVERLAY).count() == 0

    with ServerProcess(tmp_path, command="dev") as server:
        in_chromium(scenario)


def test_there_is_none_where_it_is_switched_off(tmp_path: Path) -> None:
    (make(tmp_path) / "pyproject.toml").write_text("[tool.longwave.server]\nhmr = false\n")

    with ServerProcess(tmp_path, command="dev") as server:
        for path in ("/", "/strict", "/none"):
            assert "/_longwave/" not in ask(server.port, path, accept="text/html")[1]
        assert ask(server.port, "/_longwave/client.js")[0] == 404
