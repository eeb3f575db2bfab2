"""`create_websocket_proxy`: upstreams that cannot be had, and sides that do not read."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from longwave import Peer
from longwave.web.websocket_proxy import Upstream, UpstreamClose
from tests.web.socket_upstreams import before, behind, joined
from tests.web.upstreams import on_sockets, scripted, until


def failing(peer: Peer) -> str:
    raise RuntimeError("no idea")


async def failing_later(peer: Peer) -> str:
    raise RuntimeError("no idea")


@pytest.mark.parametrize(
    ("target", "options", "source"),
    [
        (failing, {}, None),
        (failing_later, {}, None),
        (lambda peer: "http://not-a-websocket/", {}, None),
        ("ws://127.0.0.1:1/", {}, "upstream"),
        ("ws://127.0.0.1:1/", {"headers": lambda peer: {"Upgrade": "x"}}, "proxy"),
        ("ws://127.0.0.1:1/", {"headers": lambda peer: {"A\r\n": "x"}}, "proxy"),
        ("ws://127.0.0.1:1/", {"websocket_options": {"colour": "red"}}, "proxy"),
        ("ws://127.0.0.1:1/", {"on_upstream_connect": failing}, "proxy"),
    ],
)
@on_sockets
async def test_an_upstream_that_cannot_be_had_is_1011(
    target: Any, options: dict[str, Any], source: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[UpstreamClose] = []
    options = {**options, "on_upstream_close": lambda peer, end: ends.append(end)}
    async with before(target, **options) as front, joined(front) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1011
    assert [end.source for end in ends] == ([source] if source else [])
    assert caplog.text


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 101 x\r\n\r\n", b"what?\r\n\r\n", b""],
)
@on_sockets
async def test_a_handshake_that_fails_is_1011(answer: bytes) -> None:
    async with scripted(answer) as back, before(back.url.replace("http", "ws")) as front:
        async with joined(front) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (1011, "Upstream error")


@on_sockets
async def test_no_redirect_is_followed() -> None:
    async with behind() as url:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with scripted(moved) as back, before(back.url.replace("http", "ws")) as front:
            async with joined(front) as socket:
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert socket.close_code == 1011


@pytest.mark.parametrize("resolving", [False, True])
@on_sockets
async def test_the_time_to_connect_is_bounded(resolving: bool) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async def never(peer: Peer) -> str:
        await asyncio.Event().wait()
        return ""

    async with scripted(script) as back:
        target: Any = never if resolving else back.url.replace("http", "ws")
        async with before(target, connect_timeout=0.1) as front, joined(front) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (1011, "Upstream connect timeout")
        if not resolving:
            await asyncio.wait_for(back.lost.wait(), 2)


@pytest.mark.parametrize(("size", "code"), [(1000, None), (1001, 1009)])
@on_sockets
async def test_what_waits_for_the_upstream_is_bounded(size: int, code: int | None) -> None:
    allowed = asyncio.Event()

    async def target(peer: Peer) -> str:
        await allowed.wait()
        return url

    async with behind() as url, before(target, max_buffer_size=1000) as front, joined(front) as socket:
        # 500 characters that are two bytes each on the wire.
        await socket.send("é" * 250)
        await socket.send("x" * (size - 500))
        if code is None:
            await asyncio.sleep(0.05)
            allowed.set()
            assert (await socket.recv(), await socket.recv()) == ("welcome /", "é" * 250)
        else:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (code, "Proxy buffer limit exceeded")


@on_sockets
async def test_who_is_told() -> None:
    told: list[Any] = []

    def connecting(peer: Peer, upstream: Upstream) -> None:
        told.append(("connect", upstream.url, len(peer.peers)))

    def opened(peer: Peer, upstream: Upstream) -> None:
        told.append(("open", upstream.url))
        raise RuntimeError("logged, no more")

    def closed(peer: Peer, end: UpstreamClose) -> None:
        told.append(("close", end.source, end.code))

    options: Any = {
        "on_upstream_connect": connecting,
        "on_upstream_open": opened,
        "on_upstream_close": closed,
    }
    async with behind() as url, before(url, **options) as front:
        async with joined(front) as socket:
            assert await socket.recv() == "welcome /"
        await until(lambda: len(told) == 3)
    assert told == [("connect", url, 1), ("open", url), ("close", "client", 1000)]


# Backpressure.


@on_sockets
async def test_a_client_that_does_not_read_holds_the_upstream_back() -> None:
    sent = 0

    async def flood(socket: ServerConnection) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            for number in range(2000):
                await socket.send(number.to_bytes(4, "big") + b"x" * 50_000)
                sent += 1

    async with behind(flood) as url, before(url) as front:
        async with joined(front, max_queue=1) as socket:
            before_ = -1
            while before_ != sent or not sent:
                before_ = sent
                await asyncio.sleep(0.3)
            assert sent < 800
            for number in range(2000):
                message = await socket.recv()
                assert isinstance(message, bytes) and int.from_bytes(message[:4], "big") == number


@on_sockets
async def test_an_upstream_that_does_not_read_holds_the_client_back() -> None:
    allowed = asyncio.Event()
    seen = 0

    async def slow(socket: ServerConnection) -> None:
        nonlocal seen
        await allowed.wait()
        async for _ in socket:
            seen += 1

    async with behind(slow, max_queue=1) as url, before(url) as front, joined(front) as socket:
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for _ in range(2000):
                await socket.send(b"x" * 50_000)
                sent += 1

        flooding = asyncio.create_task(flood())
        before_ = -1
        while before_ != sent or not sent:
            before_ = sent
            await asyncio.sleep(0.3)
        assert sent < 800
        assert front.app.stats()["peers"] == 1
        allowed.set()
        await flooding
        await until(lambda: seen == 2000, 15)
