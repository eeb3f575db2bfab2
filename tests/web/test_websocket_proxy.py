"""`create_websocket_proxy`: messages both ways, what the upstream is told, and options."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from longwave import Peer, create_websocket_proxy
from longwave.errors import DefinitionError
from longwave.web.websocket_proxy import UpstreamClose
from tests.web.socket_upstreams import before, behind, echo, joined
from tests.web.upstreams import on_sockets, until


@on_sockets
async def test_messages_both_ways() -> None:
    async with behind() as url, before(f"{url}/up?x=y") as front, joined(front) as socket:
        assert await socket.recv() == "welcome /up?x=y"
        for message in ("grüße 🙂", "", b"\x00\xff", b"", "x" * 70_000, b"y" * 500_000):
            await socket.send(message)
            assert await socket.recv() == message
        for number in range(500):
            await socket.send(str(number))
        assert [await socket.recv() for _ in range(500)] == list(map(str, range(500)))


@on_sockets
async def test_what_is_said_before_the_upstream_is_there_comes_first_and_in_order() -> None:
    allowed = asyncio.Event()

    async def target(peer: Peer) -> str:
        await allowed.wait()
        return url

    async with behind() as url, before(target) as front, joined(front) as socket:
        for number in range(10):
            await socket.send(str(number))
        await socket.send(b"\x01")
        await asyncio.sleep(0.05)
        allowed.set()
        assert await socket.recv() == "welcome /"
        assert [await socket.recv() for _ in range(11)] == [*map(str, range(10)), b"\x01"]


@on_sockets
async def test_what_comes_while_the_early_messages_are_sent_comes_after_them() -> None:
    connecting, reading = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def target(peer: Peer) -> str:
        await connecting.wait()
        return url

    async def slow(socket: ServerConnection) -> None:
        await reading.wait()
        async for message in socket:
            assert isinstance(message, bytes)
            seen.append(int.from_bytes(message[:4], "big"))

    async with behind(slow, max_queue=1) as url, before(target, max_buffer_size=0) as front:
        async with joined(front) as socket:
            # More than the sockets on the way hold, so that the first part is on its way for long.
            for number in range(400):
                await socket.send(number.to_bytes(4, "big") + b"x" * 50_000)
            await (await socket.ping())
            connecting.set()
            await asyncio.sleep(0.1)
            for number in range(400, 410):
                await socket.send(number.to_bytes(4, "big"))
            await (await socket.ping())
            reading.set()
            await until(lambda: len(seen) == 410)
    assert seen == list(range(410))


@pytest.mark.parametrize(
    ("forward", "offered", "upstream", "client"),
    [
        (True, ["a", "b"], "a, b", "a"),
        (False, ["a", "b"], None, None),
        ("fixed", ["a"], "fixed", "a"),
        (["x", " y ", "", None, "x"], ["a"], "x, y", "a"),
        ({"a": "b", "toString": "no"}, ["a", "b", "c"], "b, c", "a"),
        (lambda peer: f"for-{peer.request.path[1:]}", ["a"], "for-ws", "a"),
        (lambda peer: None, ["a"], None, "a"),
        (True, [], None, None),
    ],
)
@on_sockets
async def test_subprotocols(
    forward: Any, offered: list[str], upstream: str | None, client: str | None
) -> None:
    seen: list[str | None] = []

    async def handler(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append(socket.request.headers.get("sec-websocket-protocol"))
        await socket.send("there")

    def first(socket: ServerConnection, names: Any) -> Any:
        return names[0] if names else None

    async with (
        behind(handler, select_subprotocol=first) as url,
        before(url, forward_protocol=forward) as front,
    ):
        async with joined(front, subprotocols=offered or None) as socket:
            assert await socket.recv() == "there"
            assert socket.subprotocol == client
    assert seen == [upstream]


@pytest.mark.parametrize("dynamic", [False, True])
@on_sockets
async def test_headers_and_options(dynamic: bool) -> None:
    seen: list[dict[str, str]] = []

    async def handler(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append({k.lower(): v for k, v in socket.request.headers.raw_items()})
        await socket.send("there")

    headers: Any = {"X-Key": "1", "Host": "other.example"}
    options: Any = {"headers": {"X-Key": "0"}, "compression": True, "max_size": 10}
    if dynamic:
        headers, options = (lambda peer, value=value: value for value in (headers, options))
    async with behind(handler) as url:
        async with before(url, headers=headers, websocket_options=options) as front, joined(front) as socket:
            await socket.recv()
        # `headers` of the options count where there are no others.
        async with before(url, websocket_options=options) as front, joined(front) as socket:
            await socket.recv()
    assert (seen[0]["x-key"], seen[0]["host"]) == ("1", "other.example")
    assert "permessage-deflate" in seen[0]["sec-websocket-extensions"]
    assert "user-agent" not in seen[0] and "cookie" not in seen[0]
    assert (seen[1]["x-key"], seen[1]["host"]) == ("0", url.removeprefix("ws://"))


@on_sockets
async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "up.sock"
    async with (
        unix_serve(echo, str(path)),
        before(f"ws+unix://{path}:/x?y") as front,
        joined(front) as socket,
    ):
        assert await socket.recv() == "welcome /x?y"


@on_sockets
async def test_another_client() -> None:
    made: list[Any] = []

    class Fake:
        subprotocol = None

        def __init__(self) -> None:
            self.queue: asyncio.Queue[Any] = asyncio.Queue()
            self.closed_with: Any = None

        async def send(self, message: Any) -> None:
            await self.queue.put(message)

        async def recv(self) -> Any:
            return await self.queue.get()

        async def close(self, code: int = 1000, reason: str = "") -> None:
            self.closed_with = (code, reason)

    async def client(*arguments: Any, **options: Any) -> Any:
        made.append((*arguments, options, Fake()))
        return made[-1][-1]

    options: Any = {"websocket": client, "headers": {"A": "b"}, "websocket_options": {"c": 1}}
    async with before("ws://nowhere/", **options) as front:
        async with joined(front, subprotocols=["p"]) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
        await until(lambda: made[0][-1].closed_with == (1000, ""))
    assert made[0][:-1] == ("ws://nowhere/", ["p"], [("a", "b")], {"c": 1})


@on_sockets
async def test_a_silent_client_is_closed_where_that_is_wanted() -> None:
    ends: list[UpstreamClose] = []

    async def talk(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send("news")
                await asyncio.sleep(0.02)

    options: Any = {"client_idle_timeout": 0.3, "on_upstream_close": lambda peer, end: ends.append(end)}
    async with behind(talk) as url, before(url, **options) as front, joined(front) as socket:
        for _ in range(5):
            await asyncio.sleep(0.1)
            await socket.send("here")
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.recv()
        assert (socket.close_code, socket.close_reason) == (1001, "Client idle timeout")
        assert ends == [UpstreamClose(url, "proxy", 1001, "Client idle timeout")]


@pytest.mark.parametrize(
    "options",
    [{"target": "http://x/"}, {"target": "localhost"}, {"target": "ws://x/", "connect": "later"}],
)
def test_options_that_cannot_be(options: Any) -> None:
    with pytest.raises(DefinitionError):
        create_websocket_proxy(**options)
