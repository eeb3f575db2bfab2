"""What goes to Vite, on real sockets with a stand-in for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from longwave import define_websocket_handler
from longwave.dev import front
from longwave.dev.front import ViteSource
from longwave.dev.proxy import NAMESPACE
from longwave.dev.vite import free_port
from tests.web.upstreams import on_sockets, serving

ROUTES: dict[str, Any] = {
    "GET /own": lambda: "own",
    "/users/[id]": lambda event: event.params["id"],
    "/ws": define_websocket_handler(open=lambda peer: peer.send("own")),
}


@contextlib.asynccontextmanager
async def vite(port: int) -> AsyncIterator[list[dict[str, Any]]]:
    """Stand in for Vite: say `vite` to HTTP and to its own WebSockets."""
    asked: list[dict[str, Any]] = []

    async def talk(socket: ServerConnection) -> None:
        await socket.send("vite")
        await socket.wait_closed()

    async def look(socket: ServerConnection, request: Any) -> Any:
        asked.append({"path": request.path, **{k.lower(): v for k, v in request.headers.raw_items()}})
        return None if "upgrade" in request.headers else socket.respond(200, "vite")

    names: Any = ["vite-hmr", "vite-ping"]
    async with serve(talk, "127.0.0.1", port, process_request=look, subprotocols=names):
        yield asked


async def get(url: str) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(url)
        return response.status_code, response.text


@on_sockets
async def test_routes_are_ours_and_the_rest_is_vites() -> None:
    port = free_port()
    async with vite(port) as asked, serving(ROUTES, sources=(ViteSource(port),)) as running:
        assert await get(f"{running.url}/own") == (200, "own")
        assert await get(f"{running.url}/users/7") == (200, "7")
        for path in ("/", "/src/main.tsx?t=1", "/@id/__x00__plugin", "/own/not", "/@fs/a%20b"):
            assert await get(f"{running.url}{path}") == (200, "vite")
            assert asked[-1]["path"] == path
            assert asked[-1]["host"] == f"127.0.0.1:{running.port}"
            assert "x-forwarded-for" not in asked[-1]


@on_sockets
async def test_websockets_go_by_their_subprotocol() -> None:
    port = free_port()
    async with vite(port) as asked, serving(ROUTES, sources=(ViteSource(port),)) as running:
        options: Any = {"proxy": None, "origin": running.url}
        for path in ("/?token=x", "/ws", "/own"):
            async with connect(running.websocket_url + path, subprotocols=["vite-hmr"], **options) as socket:  # type: ignore[list-item]
                assert (await socket.recv(), socket.subprotocol) == ("vite", "vite-hmr")
                # No handler counts it among its peers.
                assert list(running.app.runtime.namespaces) == [NAMESPACE]
            assert (asked[-1]["path"], asked[-1]["origin"]) == (path, running.url)
        async with connect(f"{running.websocket_url}/ws", **options) as socket:
            assert await socket.recv() == "own"
        count = len(asked)
        for path, status in (("/nothing", 404), ("/own", 400)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(running.websocket_url + path, subprotocols=["vite-hmrx"], **options)  # type: ignore[list-item]
            assert refused.value.response.status_code == status
        assert len(asked) == count


@on_sockets
async def test_a_request_waits_for_vite_and_for_its_restart() -> None:
    port = free_port()
    async with serving(ROUTES, sources=(ViteSource(port),)) as running:
        waiting = asyncio.create_task(get(f"{running.url}/"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        async with vite(port):
            assert await waiting == (200, "vite")
        waiting = asyncio.create_task(get(f"{running.url}/"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        async with vite(port):
            assert await waiting == (200, "vite")


@on_sockets
async def test_a_vite_that_does_not_come_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "START", 0.1)
    async with serving(ROUTES, sources=(ViteSource(free_port()),)) as running:
        status, text = await get(f"{running.url}/")
        assert status == 503 and "Vite does not run" in text
        assert (await get(f"{running.url}/own"))[0] == 200
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.websocket_url, proxy=None, subprotocols=["vite-hmr"])  # type: ignore[list-item]
        assert refused.value.response.status_code == 502
