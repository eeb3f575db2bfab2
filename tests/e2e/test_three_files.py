"""The three files of the README, served by our own server and by uvicorn, as clients see them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.docs.samples import ROOT, Block, blocks_of
from tests.e2e.browser import in_chromium
from tests.e2e.process import CHAT, ServerProcess, free_port
from tests.e2e.wire import clients, request, run

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

FILES = ("longwave.config.py", "src/server/routes/api/ws/chat.py", "src/server/routes/api/sse.py")
TICK = re.compile(r"Message @ \d\d:\d\d:\d\d")
SERVERS = ("longwave", "uvicorn")


@dataclass(frozen=True, slots=True)
class Served:
    """Where the project is served, and by what."""

    by: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def websocket(self, **options: Any) -> websockets.connect:
        return websockets.connect(f"ws://127.0.0.1:{self.port}/api/ws/chat", **options)


def the_three() -> dict[str, Block]:
    """Return the last block of the README with the title of each file: those in the original's shape."""
    return {block.title: block for block in blocks_of(ROOT / "README.md") if block.title in FILES}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of what the README shows, and nothing else but a page to stand on."""
    folder = tmp_path_factory.mktemp("three")
    for title, block in the_three().items():
        path = folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code)
    (folder / "index.html").write_text("<!doctype html><title>three files</title>")
    module = f"import longwave\n\napp = longwave.create_app({str(folder)!r})\n"
    (folder / "three_files.py").write_text(module)
    return folder


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, project: Path) -> Iterator[Served]:
    if request.param == "longwave":
        with ServerProcess(project) as server:
            yield Served("longwave", server.port)
    else:
        with uvicorn(project) as port:
            yield Served("uvicorn", port)


@contextmanager
def uvicorn(folder: Path) -> Iterator[int]:
    """Serve `three_files:app` of a folder by uvicorn, until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "three_files:app", "--host", "127.0.0.1", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LONGWAVE_")}
    with (folder / "uvicorn.log").open("w+b") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            until = time.monotonic() + 20
            while not _answers(port):
                assert process.poll() is None and time.monotonic() < until, _text(log)
                time.sleep(0.05)
            yield port
            process.send_signal(signal.SIGTERM)
            process.wait(15)
            assert "Traceback" not in _text(log), _text(log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_longwave/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _text(log: Any) -> str:
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode()


def test_the_readme_shows_the_files_of_the_example_word_for_word() -> None:
    blocks = the_three()
    assert set(blocks) == set(FILES)
    for title, block in blocks.items():
        assert block.code == (CHAT / title).read_text(), str(block)


async def says(socket: ClientConnection) -> dict[str, str]:
    async with asyncio.timeout(10):
        said: dict[str, str] = json.loads(await socket.recv())
    return said


async def welcomed(socket: ClientConnection) -> str:
    """Return the name that the welcome gives to a peer: a random UUID."""
    said = await says(socket)
    assert said["user"] == "server"
    match = re.fullmatch(r"Welcome (.+)!", said["message"])
    assert match and UUID(match[1]).version == 4 and str(UUID(match[1])) == match[1]
    return match[1]


def test_the_chat(served: Served) -> None:
    def from_server(text: str) -> dict[str, str]:
        return {"user": "server", "message": text}

    async def main() -> None:
        async with served.websocket() as one:
            await welcomed(one)
            async with served.websocket() as two:
                name = await welcomed(two)
                assert await says(one) == from_server(f"{name} joined!")
                await two.send("hello")
                # Once each: the echo is not followed by what it published.
                assert await says(two) == await says(one) == {"user": name, "message": "hello"}
                await two.send("a ping, please")
                assert await says(two) == from_server("pong")
                await two.send(b"bytes")
                assert await says(two) == await says(one) == {"user": name, "message": "bytes"}
                third = await served.websocket()
                other = await welcomed(third)
                assert await says(one) == await says(two) == from_server(f"{other} joined!")
                third.transport.abort()  # lost, not closed
                assert await says(one) == await says(two) == from_server(f"{other} left!")
                await third.wait_closed()
            assert await says(one) == from_server(f"{name} left!")
            for number in range(300):
                await one.send(str(number))
            assert [(await says(one))["message"] for number in range(300)] == [str(n) for n in range(300)]

    run(main())


def test_the_clock(served: Served) -> None:
    began = time.monotonic()
    with (
        httpx.Client(timeout=10) as client,
        client.stream("GET", f"{served.url}/api/sse", headers={"Accept": "text/event-stream"}) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-accel-buffering"] == "no"
        for word in ("no-cache", "no-store", "no-transform", "private"):
            assert word in response.headers["cache-control"]
        lines = response.iter_lines()
        for _ in range(3):
            line = next(lines)
            assert TICK.fullmatch(line.removeprefix("data: ")) and line.startswith("data: ")
            assert next(lines) == ""
        # The first at once, then one a second.
        assert 1.8 <= time.monotonic() - began <= 5


def test_a_head_of_the_clock_has_no_body(served: Served) -> None:
    async def main() -> None:
        async with clients(served.port) as connect:
            client = await connect()
            client.send(request("/api/sse", "Connection: close", method="HEAD"))
            status, fields, _ = await client.response(head_only=True)
            assert status == 200
            assert fields["content-type"] == "text/event-stream; charset=utf-8"
            assert await client.rest() == b""

    run(main(), 10)


def test_plain_requests(served: Served) -> None:
    with httpx.Client(base_url=served.url, timeout=10) as client:
        chat = client.get("/api/ws/chat")
        assert chat.status_code == 426
        assert chat.headers["upgrade"] == "websocket"
        assert chat.json()["error"] is True and "WebSocket" in chat.json()["message"]
        missing = client.get("/api/nothing")
        assert (missing.status_code, missing.json()["status"]) == (404, 404)
        assert client.get("/").text == "<!doctype html><title>three files</title>"
        for secret in ("/longwave.config.py", "/src/server/routes/api/sse.py", "/three_files.py"):
            assert client.get(secret).status_code == 404


def test_upgrades_that_are_refused(served: Served) -> None:
    async def status_of(path: str, **options: Any) -> int:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://127.0.0.1:{served.port}{path}", **options)
        return refused.value.response.status_code

    async def main() -> None:
        assert await status_of("/api/sse") == 400
        assert await status_of("/api/nothing") == 404
        assert await status_of("/api/ws/chat", origin="https://evil.example") == 403
        async with served.websocket(origin=served.url) as socket:
            await welcomed(socket)

    run(main(), 20)


TALK = """async () => {
  const { log, socket } = window.talk = { log: [], socket: new WebSocket(location.href.replace("http", "ws") + "api/ws/chat") };
  socket.onmessage = ({ data }) => log.push(JSON.parse(data));
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
}"""  # noqa: E501
LISTEN = """() => {
  const ticks = window.ticks = [];
  window.source = new EventSource("/api/sse");
  window.source.onmessage = ({ data }) => ticks.push(data);
}"""


@pytest.mark.browser
def test_two_pages_in_chromium(served: Served) -> None:
    async def page_of(browser: Browser) -> Page:
        page = await (await browser.new_context()).new_page()
        page.set_default_timeout(15_000)
        await page.goto(f"{served.url}/")
        await page.evaluate(TALK)
        await page.wait_for_function("talk.log.length")
        return page

    async def heard(page: Page, count: int) -> list[dict[str, str]]:
        await page.wait_for_function(f"talk.log.length >= {count}")
        log: list[dict[str, str]] = await page.evaluate("talk.log")
        return log

    async def scenario(browser: Browser) -> None:
        one, two = await page_of(browser), await page_of(browser)
        await one.evaluate(LISTEN)
        (welcome,) = await heard(two, 1)
        name = welcome["message"].split()[1].rstrip("!")
        assert (await heard(one, 2))[1] == {"user": "server", "message": f"{name} joined!"}
        await two.evaluate("talk.socket.send('hi'); talk.socket.send('ping')")
        assert (await heard(two, 3))[1:] == [
            {"user": name, "message": "hi"},
            {"user": "server", "message": "pong"},
        ]
        assert (await heard(one, 3))[2] == {"user": name, "message": "hi"}
        await two.context.close()
        assert (await heard(one, 4))[3:] == [{"user": "server", "message": f"{name} left!"}]
        await one.wait_for_function("ticks.length >= 2")
        for tick in await one.evaluate("ticks"):
            assert TICK.fullmatch(tick)

    in_chromium(scenario)
