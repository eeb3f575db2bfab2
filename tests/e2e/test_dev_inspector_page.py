"""The inspector's page in Chromium, on `longwave dev`: real routes, real peers, real saves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from bench.robustness.crowd import Member, crowd
from tests.e2e.browser import in_chromium, watch
from tests.e2e.measuring import many_files
from tests.e2e.process import ServerProcess
from tests.e2e.wire import eventually, measured

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

FILES = {
    "ws/echo.py": """
from longwave import define_websocket_handler
def open(peer):
    peer.subscribe("room")
def message(peer, message):
    if message.is_text and message.text() == "boom":
        raise RuntimeError("the hook <b>went</b> wrong")
    peer.send(message)
    if message.is_text and message.text() == "publish":
        peer.publish("room", {"text": "<img src=x onerror=alert(1)>"})
handler = define_websocket_handler(open=open, message=message, protocols=("chat.v1",))
""",
    "ticks.py": """
from longwave import EventMessage, create_event_stream
async def get(event):
    stream = create_event_stream(event)
    first = int(event.headers.get("last-event-id") or 0) + 1
    for n in (first, first + 1):
        await stream.push(EventMessage(data=f"one {n}\\ntwo", event="tick", id=str(n), retry=50))
    await stream.close()
    return stream
""",
    "users/[id].py": """
from longwave import HTTPError
async def get(event):
    return {"id": event.params["id"], "query": dict(event.query), "test": event.headers.get("x-test")}
async def put(event):
    raise HTTPError(409, await event.text())
""",
    "swapped.py": "def get(event):\n    return 'before'\n",
}
CROWD = 1000
READERS = r"""async () => {
  const { EventReader, fill, fromHex, headersOf, parametersOf } = await import("./inspector/page_stream.js");
  const text = "\ufeff:\r\nid: 7\r\ndata: a\r\ndata:b\r\n\r\nevent:x\rdata\r\rretry: 9\ndata: c\n\ndata: no";
  const whole = new EventReader().take(text);
  const reader = new EventReader();
  const parts = [...text].flatMap((sign) => reader.take(sign));
  return {
    same: JSON.stringify(whole) === JSON.stringify(parts), whole, retry: reader.retry,
    path: fill("/a/[id]/[...rest]", ["x/y", "p q/r"]), rest: fill("/[...]", []),
    names: parametersOf("/a/[id]/[...rest]").map(({ name }) => name),
    headers: headersOf("a: b:c\n\n d : e "), bytes: [...fromHex("00 fF 1a")],
  };
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("inspected")
    for name, text in FILES.items():
        path = root / "src/server/routes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with many_files(), ServerProcess(root, command="dev") as running:
        yield running


def looking(
    server: ServerProcess,
    scenario: Callable[[Page], Awaitable[None]],
    *,
    tab: str = "overview",
    **options: Any,
) -> None:
    """Open the page at a tab, run a scenario, and see that neither it nor its policy found anything wrong."""

    async def look(browser: Browser) -> None:
        page = await (await browser.new_context(**options)).new_page()
        page.set_default_timeout(10_000)
        errors = watch(page)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        await page.goto(f"{server.url}_longwave/#{tab}")
        await connected(page)
        async with asyncio.timeout(40):
            await scenario(page)
        assert errors == []

    in_chromium(look)


async def connected(page: Page) -> None:
    await page.wait_for_selector("body[data-state=open]")


async def says(page: Page, selector: str, text: str) -> None:
    await page.locator(selector).filter(has_text=text).first.wait_for()


@asynccontextmanager
async def peer(server: ServerProcess, query: str = "") -> AsyncIterator[ClientConnection]:
    async with connect(f"{server.websocket_url}ws/echo{query}") as socket:
        yield socket


def test_tabs_are_in_the_address_and_every_one_fits(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        tabs = ["overview", "routes", "live", "topics", "errors", "reloads", "limits"]
        for name in tabs:
            await page.click(f"nav a[href='#{name}']")
            await page.wait_for_selector(f"#{name}:not([hidden])")
            assert await page.locator("main > section:not([hidden])").count() == 1
            # 390 pixels, and nothing of it is wider.
            assert await page.evaluate("document.documentElement.scrollWidth") == 390
        await says(page, "#limit-rows td", "limits.outgoing")
        await page.go_back()
        await page.wait_for_selector("#reloads:not([hidden])")
        await page.reload()
        await page.wait_for_selector("nav a[href='#reloads'][aria-current]")

    looking(server, scenario, viewport={"width": 390, "height": 800}, color_scheme="dark")


def test_every_field_has_a_name(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        await page.click("[aria-label='Try GET /users/[id]']")
        nameless = await page.evaluate(
            """[...document.querySelectorAll("input, select, textarea, button")]
            .filter((field) => !(field.labels?.[0]?.textContent ?? field.textContent).trim()
              && !field.getAttribute("aria-label"))
            .map((field) => field.id || field.outerHTML)"""
        )
        assert nameless == []

    looking(server, scenario, tab="routes")


def test_a_request_of_ones_own(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        assert await page.locator("#route-rows tr").count() == 5
        await page.fill("#route-filter", "users put")
        assert await page.locator("#route-rows tr").count() == 1
        await page.fill("#route-filter", "")
        await page.click("[aria-label='Try GET /users/[id]']")
        await page.get_by_label("id", exact=True).fill("a b")
        await page.get_by_label("Query").fill("x=1&y=<b>")
        await page.get_by_label("Headers").fill("x-test: yes")
        await page.press("#try-headers", "Control+Enter")
        await says(page, "#try-status.good", "200 OK")
        body = json.loads(await page.inner_text("#answer-body"))
        assert body == {"id": "a b", "query": {"x": "1", "y": "<b>"}, "test": "yes"}
        await page.click("#answer-head summary")
        await says(page, "#answer-headers", "application/json")
        await page.fill("#try-headers", "no header")
        await page.click("#try-go")
        await says(page, "#try-status.bad", "no header")

    looking(server, scenario, tab="routes")


def test_a_request_with_a_body_that_is_refused(server: ServerProcess) -> None:
    async def look(browser: Browser) -> None:
        page = await browser.new_page()
        errors = watch(page)
        await page.goto(f"{server.url}_longwave/#routes")
        await page.click("[aria-label='Try PUT /users/[id]']")
        await page.get_by_label("id", exact=True).fill("1")
        await page.get_by_label("Body", exact=True).fill("taken already")
        await page.click("#try-go")
        await says(page, "#try-status.bad", "409")
        await says(page, "#answer-body", "taken already")
        assert errors == []

    in_chromium(look)


def test_an_event_stream_that_comes_back(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        await page.click("[aria-label='Try GET /ticks']")
        await page.get_by_label("Event stream").check(force=True)
        await page.click("#try-go")
        # A stream that ends is opened again with the id of its last event.
        await says(page, "#try-log li", "one 3")
        first = page.locator("#try-log li").first
        assert await first.locator(".tag").inner_text() == "tick"
        assert await first.locator(".label").inner_text() == "id 1"
        assert await first.locator(".text").inner_text() == "one 1\ntwo"
        await page.click("#try-stop")
        await says(page, "#try-status", "Closed")

    looking(server, scenario, tab="routes")


def test_a_websocket_of_ones_own(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        await page.click("[aria-label='Try WebSocket /ws/echo']")
        await page.get_by_label("Subprotocols").fill("other, chat.v1")
        await page.click("#try-go")
        await says(page, "#try-status.good", "subprotocol chat.v1")
        await page.fill("#frame-text", "hello <b>there</b>")
        await page.press("#frame-text", "Enter")
        await says(page, "#try-log li:has(.tag.in)", "hello <b>there</b>")
        await page.check("#frame-binary")
        await page.fill("#frame-text", "00 ff 41")
        await page.click("#frame-send")
        await says(page, "#try-log li:has(.tag.in) .text", "00 ff 41  ..A")
        await page.fill("#frame-code", "4001")
        await page.click("#try-stop")
        await says(page, "#try-status", "Closed with 4001")

    looking(server, scenario, tab="routes")


def test_a_peer_is_seen_and_closed(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        async with peer(server) as socket:
            row = page.locator("#live-rows tr").filter(has_text="/ws/echo")
            await row.filter(has_text="room").wait_for()
            await row.filter(has_text="0 · 0 B").first.wait_for()
            await socket.send("four")
            await row.filter(has_text="1 · 4 B").wait_for()
            await page.fill("#live-filter", "nowhere")
            await says(page, "#live-empty", "None matches the filter")
            await page.fill("#live-filter", "echo")
            await row.get_by_role("button").click()
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 1000
            # It does not vanish below the pointer, but as soon as that is gone.
            await page.wait_for_selector("#live-rows tr.gone")
            await page.mouse.move(0, 0)
            await row.wait_for(state="detached")

    looking(server, scenario, tab="live")


def test_publications_both_ways(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        async with peer(server) as socket, peer(server) as other:
            await page.get_by_label("Tail room").click()
            await says(page, "#tail-name", "room")
            await page.fill("#publish-topic", "room")
            await page.fill("#publish-data", '{"by": "hand"}')
            await page.check("#publish-json", force=True)
            await page.click("#publish button.main")
            async with asyncio.timeout(5):
                assert json.loads(await socket.recv()) == {"by": "hand"}
                assert json.loads(await other.recv()) == {"by": "hand"}
            await says(page, "#publish-status.good", "Published to room")
            await says(page, "#tail-log li", '{"by":"hand"}')
            await page.click("#tail-pause")
            await socket.send("publish")
            await says(page, "#tail-count", "paused, 1 waiting")
            await page.click("#tail-pause")
            await says(page, "#tail-log .text", "<img src=x onerror=alert(1)>")
            await says(page, "#topic-rows tr", "/ws/echo")
            await page.fill("#publish-data", "{")
            await page.click("#publish button.main")
            await says(page, "#publish-status.bad", "Not JSON")

    looking(server, scenario, tab="topics")


def test_a_log_keeps_500_lines(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        kept = await page.evaluate(
            """async () => {
              const { Log } = await import("./inspector/page_log.js");
              const list = document.createElement("ol");
              document.body.append(list);
              const log = new Log(list);
              for (let n = 0; n < 1200; n++) {
                log.add({ tag: "n", data: String(n) });
                if (n === 700) await new Promise((resolve) => setTimeout(resolve, 100));
              }
              await new Promise((resolve) => setTimeout(resolve, 100));
              const last = list.lastElementChild.querySelector(".text").textContent;
              list.remove();
              return [list.childElementCount, last, log.seen];
            }"""
        )
        assert kept == [500, "1199", 1200]

    looking(server, scenario)


def test_an_error_and_a_reload_are_told(server: ServerProcess) -> None:
    changed = server.root / "src/server/routes/swapped.py"

    async def scenario(page: Page) -> None:
        async with peer(server) as socket:
            await socket.send("boom")
            await says(page, "#errors-badge", "1")
            await page.click("nav a[href='#errors']")
            await page.wait_for_selector("#errors-badge", state="hidden")
            error = page.locator("#error-list li").filter(has_text="the hook <b>went</b> wrong").first
            await error.filter(has_text="src/server/routes/ws/echo.py:7").wait_for()
            await error.locator("summary").click()
            await error.locator("pre").filter(has_text="Traceback (most recent call last)").wait_for()
        await page.click("nav a[href='#reloads']")
        changed.write_text("def get(event):\n    return (\n")
        await says(page, "#reload-list li", "never closed")
        changed.write_text("def get(event):\n    return 'after'\ndef post(event):\n    return 'new'\n")
        await says(page, "#reload-list li", "mended")
        await page.click("nav a[href='#routes']")
        await page.get_by_label("Try POST /swapped").wait_for()

    looking(server, scenario)


def test_it_comes_back_to_a_new_worker(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        await page.evaluate(
            """new MutationObserver(() => {
              document.documentElement.dataset.states += ` ${document.body.dataset.state}`;
            }).observe(document.body, { attributes: true, attributeFilter: ["data-state"] })"""
        )
        (server.root / "longwave.config.py").write_text(
            "from longwave import define_config\nconfig = define_config()\n"
        )
        await page.wait_for_selector("html[data-states$=' reconnecting open']")
        # Another process has another token, and the page works with it.
        async with peer(server):
            await says(page, "#live-rows tr", "/ws/echo")

    looking(server, scenario, tab="live")


def test_a_hidden_tab_asks_for_nothing(server: ServerProcess) -> None:
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""

    async def fail() -> None:
        async with peer(server) as socket:
            await socket.send("boom")
            await socket.wait_closed()

    async def scenario(page: Page) -> None:
        await fail()
        await says(page, "#error-list li", "the hook <b>went</b> wrong")
        times = int((await page.locator("#error-list .times").first.inner_text()).lstrip("×") or 1)
        await page.evaluate(hide, True)
        await page.wait_for_selector("body[data-state=resting]")
        # What went wrong meanwhile is told to who comes back, and what was told before is not told again.
        await fail()
        await page.evaluate(hide, False)
        await says(page, "#error-list .times", f"×{times + 1}")

    looking(server, scenario, tab="errors")


def test_a_thousand_peers(server: ServerProcess) -> None:
    async def scenario(page: Page) -> None:
        async with crowd(server.port) as people:
            await asyncio.gather(*(people.join("/ws/echo", Member) for _ in range(CROWD)))
            await says(page, "#live-count", "showing 100 of 1,000")
            assert await page.locator("#live-rows tr").count() == 100
            await page.evaluate(
                """window.tasks = []; new PerformanceObserver((found) => {
                  for (const task of found.getEntries()) tasks.push(task.duration);
                }).observe({ type: "longtask" })"""
            )
            await page.select_option("#live-limit", "500")
            await says(page, "#live-count", "showing 500 of 1,000")
            await page.click("#live-head button:text('Received')")
            await page.wait_for_selector("#live-head [aria-sort=descending] >> text=Received")
            await page.fill("#live-filter", "nobody")
            await says(page, "#live-empty", "None matches the filter")
            longest = await page.evaluate("Math.max(0, ...tasks)")
            measured("the longest task with 500 of 1 000 peers shown, in ms", longest)
            assert longest < 2000

    looking(server, scenario, tab="live")


def test_in_production_a_form_asks_for_the_token(server: ServerProcess) -> None:
    token = "of-this-test-and-long-enough-to-be-one"

    async def look(browser: Browser) -> None:
        page = await browser.new_page()
        await page.goto(f"{production.url}_longwave/#limits")
        await page.fill("#token", "another")
        await page.click("button")
        await says(page, "[role=alert]", "not the token")
        await page.fill("#token", token)
        await page.click("button")
        await connected(page)
        await says(page, "#mode", "production")
        assert token not in await page.content()

    with ServerProcess(server.root, env={"LONGWAVE_INSPECTOR_TOKEN": token}) as production:
        in_chromium(look)


def test_a_foreign_page_cannot_frame_it(server: ServerProcess) -> None:
    async def look(browser: Browser) -> None:
        page = await browser.new_page()
        frames = "".join(f"<iframe src='{server.url}{path}'></iframe>" for path in ("swapped", "_longwave/"))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(frames)}\r\n\r\n"

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write((head + frames).encode())
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as foreign:
            port = foreign.sockets[0].getsockname()[1]
            await page.goto(f"http://localhost:{port}/")
        _, other, inspector = page.frames
        # A page of an error is there later than what it stands in for was loaded.
        async with asyncio.timeout(20):
            while not (other.url and inspector.url):
                await asyncio.sleep(0.02)
        assert other.url == f"{server.url}swapped"
        # A page that is refused is no part of what the page waited for.
        await eventually(lambda: inspector.url.startswith("chrome-error:"))

    in_chromium(look)


def test_its_own_readers(server: ServerProcess) -> None:
    """What the forms read and write, in the browser that does it."""

    async def scenario(page: Page) -> None:
        found = await page.evaluate(READERS)
        assert found["same"] is True and found["retry"] == 9
        assert [(event["event"], event["id"], event["data"]) for event in found["whole"]] == [
            ("comment", "", ""), ("message", "7", "a\nb"), ("x", "7", ""), ("message", "7", "c"),
        ]  # fmt: skip
        assert found["path"] == "/a/x%2Fy/p%20q/r"
        assert found["rest"] == "/" and found["names"] == ["id", "rest"]
        assert found["headers"] == [["a", "b:c"], ["d", "e"]] and found["bytes"] == [0, 255, 26]

    looking(server, scenario)
