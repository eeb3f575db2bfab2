"""The HMR of `longwave dev`: what open pages are told, on the server's port and on one of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.e2e.process import ServerProcess, free_port

PATH = "_longwave/hmr"
CHAT = """
from longwave import define_websocket_handler
handler = define_websocket_handler()

@handler.message
def echo(peer, message):
    peer.send("VERSION " + message.text())
"""
CONFIG = "from longwave import define_config\nconfig = define_config(server={'hmr': HMR})\n"
PAGE = "<!doctype html><title>page</title>"


@asynccontextmanager
async def page(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """Listen as a page does."""
    async with connect(url, subprotocols=[Subprotocol("longwave-hmr")], proxy=None, **options) as socket:
        assert socket.subprotocol == "longwave-hmr"
        assert await told(socket) == {"type": "connected"}
        yield socket


async def told(socket: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def refused(url: str, protocol: str = "longwave-hmr") -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, subprotocols=[Subprotocol(protocol)], proxy=None):
            pass
    return caught.value.response.status_code


async def ended(socket: ClientConnection) -> int | None:
    """Read until the end; return the close code."""
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers)


def options_of(server: ServerProcess) -> Any:
    """Return what the script of a page is given."""
    script = get(server.url + "_longwave/client.js").text
    return json.loads(script.partition("const options = ")[2].partition(";\n")[0])


def make(root: Path, hmr: str | None = None) -> Path:
    for name, text in {
        "index.html": PAGE,
        "public/style.css": "p {}",
        "src/server/routes/chat.py": CHAT,
    }.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if hmr is not None:
        (root / "longwave.config.py").write_text(CONFIG.replace("HMR", hmr))
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all that leaves it as it was."""
    with ServerProcess(make(tmp_path_factory.mktemp("dev")), command="dev") as server:
        yield server


def test_files_of_pages(server: ServerProcess) -> None:
    public = server.root / "public"

    async def scenario() -> None:
        async with page(server.websocket_url + PATH) as socket:
            (public / "style.css").write_text("p { color: red }")
            update = await told(socket)
            assert update["type"] == "update"
            (style,) = update["updates"]
            assert style.pop("timestamp") > 1_700_000_000_000
            assert style == {"type": "css-update", "path": "/style.css", "acceptedPath": "/style.css"}
            # As most editors save.
            (public / "style.css.new~").write_text("p { color: blue }")
            (public / "style.css.new~").rename(public / "style.css")
            assert (await told(socket))["updates"][0]["path"] == "/style.css"
            (server.root / "index.html").write_text(PAGE + "<p>")
            reload = {"type": "full-reload", "path": "/index.html", "triggeredBy": "index.html"}
            assert await told(socket) == reload
            (public / "tool.py").write_text("import nothing_like_this")
            assert await told(socket) == {"type": "full-reload", "path": "*", "triggeredBy": "public/tool.py"}
            (public / "tool.py").unlink()
            assert (await told(socket))["triggeredBy"] == "public/tool.py"

    asyncio.run(scenario())
    assert "restarted" not in server.output


def test_code_under_an_open_socket_of_the_project(server: ServerProcess) -> None:
    file = server.root / "src/server/routes/chat.py"

    async def scenario() -> None:
        async with (
            page(server.websocket_url + PATH) as socket,
            connect(server.websocket_url + "chat", proxy=None) as chat,
        ):
            await chat.send("one")
            assert await chat.recv() == "VERSION one"
            file.write_text(CHAT.replace("VERSION", "NEW"))
            swapped = await told(socket)
            assert (swapped["type"], swapped["event"]) == ("custom", "longwave:swapped")
            data = swapped["data"]
            assert data.pop("milliseconds") >= 0
            assert data == {
                "files": ["src/server/routes/chat.py"],
                "routes": ["/chat"],
                "added": [],
                "removed": [],
                "kept": 1,
                "closed": 0,
                "ended": 0,
                "mended": False,
            }
            await chat.send("two")
            assert await chat.recv() == "NEW two"
            file.write_text("def no(:\n")
            failed = await told(socket)
            assert failed["type"] == "error"
            err = failed["err"]
            assert "SyntaxError" in err["message"] and err["id"] == "src/server/routes/chat.py"
            assert err["loc"] == {"file": str(file.resolve()), "line": 1, "column": 1}
            assert err["frame"] == "> 1 | def no(:"
            async with page(server.websocket_url + PATH) as late:
                assert await told(late) == failed
            file.write_text(CHAT)
            assert (await told(socket))["data"]["mended"]
            async with page(server.websocket_url + PATH) as late:
                await late.send('{"type": "ping"}')
                await chat.send("three")
                assert await chat.recv() == "VERSION three"

    asyncio.run(scenario())


def test_a_next_worker_that_cannot_be_loaded_and_one_that_can(server: ServerProcess) -> None:
    config, token = server.root / "longwave.config.py", options_of(server)["token"]

    async def scenario() -> None:
        url = f"{server.websocket_url}{PATH}?token={token}"
        async with page(url, origin=server.url.rstrip("/")) as socket:
            config.write_text("config = \n")
            restart = await told(socket)
            assert restart["event"] == "longwave:restart"
            assert restart["data"]["files"] == ["longwave.config.py"]
            failed = await told(socket)
            assert failed["type"] == "error" and failed["err"]["id"] == "longwave.config.py"
            async with page(url) as late:
                assert await told(late) == failed
            config.write_text(CONFIG.replace("HMR", "True"))
            assert await ended(socket) == 1012
        # The page belongs to the next worker too; who comes meanwhile waits.
        async with page(url, origin=server.url.rstrip("/")) as socket:
            (server.root / "public" / "style.css").write_text("p { color: green }")
            assert (await told(socket))["type"] == "update"

    asyncio.run(scenario())


def test_a_port_and_a_path_of_its_own_then_none(tmp_path: Path) -> None:
    port = free_port()
    make(tmp_path, f"{{'port': {port}, 'path': 'vite-hmr', 'client_port': 8443, 'overlay': False}}")
    (tmp_path / "pyproject.toml").write_text("[tool.longwave.server]\nhmr = true\n")

    async def scenario(server: ServerProcess) -> None:
        own = f"127.0.0.1:{port}"
        options = options_of(server)
        assert [options[name] for name in ("path", "port", "overlay")] == ["/vite-hmr", 8443, False]
        assert get(f"http://{own}/").status_code == 404
        assert get(f"http://{own}/style.css").status_code == 404
        assert get(f"http://{own}/vite-hmr").status_code == 426
        assert get(f"http://{own}/", host="evil.com").status_code == 403
        assert await refused(f"ws://{own}/{PATH}") == 404
        assert await refused(f"ws://{own}/vite-hmr", "vite-hmr") == 404
        assert await refused(f"ws://{own}/chat", "chat") == 404
        for path in ("vite-hmr", PATH):
            assert await refused(server.websocket_url + path) == 404
        origin = server.url.rstrip("/")
        async with page(f"ws://{own}/vite-hmr?token={options['token']}", origin=origin) as socket:
            (tmp_path / "public" / "style.css").write_text("p { color: red }")
            assert (await told(socket))["type"] == "update"
            # Off: no socket, no script, and pages as they are.
            (tmp_path / "pyproject.toml").write_text("[tool.longwave.server]\nhmr = false\n")
            assert await ended(socket) == 1012
        script = get(server.url + "_longwave/client.js")
        assert script.status_code == 404
        assert get(server.url, accept="text/html").text == PAGE
        assert await refused(server.websocket_url + PATH) == 404
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)

    with ServerProcess(tmp_path, command="dev") as server:
        asyncio.run(scenario(server))
