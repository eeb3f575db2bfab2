"""`create_websocket_proxy`: connected before the client is accepted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from longwave import Event, HTTPError, Response, UpgradeResult, create_websocket_proxy
from longwave.web import websocket_proxy
from tests.web.socket_upstreams import before, behind, joined
from tests.web.upstreams import ask, on_sockets, scripted, serving, until

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@on_sockets
async def test_connect_at_upgrade_hands_on_the_refusal_and_the_subprotocol() -> None:
    async def decide(socket: ServerConnection, request: Any) -> Any:
        if request.path == "/no":
            response = socket.respond(401, "who are you?")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    async with behind(process_request=decide, subprotocols=["b"]) as url:
        async with before(f"{url}/no", connect="upgrade") as front:
            with pytest.raises(InvalidStatus) as refused:
                async with joined(front):
                    pass
            response = refused.value.response
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert response.body == b"who are you?"
        told: list[Any] = []
        options: Any = {
            "connect": "upgrade",
            "on_upstream_open": lambda peer, upstream: told.append(upstream.url),
            "headers": lambda event: {"x-path": event.path},
        }
        async with before(f"{url}/yes", **options) as front:
            async with joined(front, subprotocols=["a", "b"]) as socket:
                assert socket.subprotocol == "b"
                assert await socket.recv() == "welcome /yes"
                await socket.send("hello")
                assert await socket.recv() == "hello"
            async with joined(front, subprotocols=["b"]) as socket:
                await socket.send("close 4000 enough")
                with pytest.raises(ConnectionClosed):
                    while True:
                        await socket.recv()
                assert socket.close_code == 4000
        assert told == [f"{url}/yes"] * 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302),
        (b"nonsense\r\n\r\n", 502),
        (b"", 502),
        (None, 504),
    ],
)
@on_sockets
async def test_connect_at_upgrade_with_a_bad_upstream(answer: bytes | None, status: int) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async with scripted(silent if answer is None else answer) as back:
        target = back.url.replace("http", "ws")
        async with before(target, connect="upgrade", connect_timeout=0.2) as front:
            # By hand: the client of these tests would follow a redirect.
            async with ask(front.port, HANDSHAKE) as talk:
                assert (await talk.head())[0] == status
        if answer is None:
            await asyncio.wait_for(back.lost.wait(), 2)


@on_sockets
async def test_an_upstream_whose_client_is_not_accepted_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_proxy, "CONNECT", 0.1)
    ends: list[int | None] = []

    async def handler(socket: ServerConnection) -> None:
        await socket.wait_closed()
        ends.append(socket.close_code)

    async def middleware(event: Event, next: Any) -> Response:
        await next()
        return Response("no", 403)

    async with behind(handler) as url:
        routes = {"/ws": create_websocket_proxy(url, connect="upgrade")}
        async with serving(routes, middleware=[middleware]) as front:
            with pytest.raises(InvalidStatus):
                async with joined(front):
                    pass
            await until(lambda: ends == [1000])


@on_sockets
async def test_the_upgrade_hook_decides() -> None:
    async def admit(event: Event) -> Any:
        match event.query_string:
            case "error":
                raise HTTPError(403, "no")
            case "response":
                return Response("not you", 401)
            case "returned":
                return HTTPError(404)
            case "settled":
                return UpgradeResult(headers={"x-a": "b"}, protocol="b", context={"who": "ada"})
        return None

    async with behind() as url:
        for early in ("open", "upgrade"):
            options: Any = {"upgrade": admit, "connect": early, "headers": lambda client: {}}
            async with before(url, **options) as front:
                for query, status in (("error", 403), ("response", 401), ("returned", 404)):
                    with pytest.raises(InvalidStatus) as refused:
                        await connect(f"{front.websocket_url}/ws?{query}", proxy=None)
                    assert refused.value.response.status_code == status
                target = f"{front.websocket_url}/ws?settled"
                protocols: Any = ["a", "b"]
                async with connect(target, proxy=None, subprotocols=protocols) as socket:
                    assert socket.subprotocol == "b" and socket.response is not None
                    assert socket.response.headers["x-a"] == "b"
