"""`create_websocket_proxy`: the end of one side is the other's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from longwave.web.websocket_proxy import UpstreamClose
from tests.web.socket_upstreams import accept, before, behind, joined
from tests.web.upstreams import on_sockets, scripted, until


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", (1000, "")),
        (4321, "enough", (4321, "enough")),
        (1012, "r", (1012, "r")),
        (1008, "é" * 61, (1008, "é" * 61)),
    ],
)
@on_sockets
async def test_the_upstreams_end_is_the_clients(code: int, reason: str, expected: tuple[int, str]) -> None:
    ends: list[UpstreamClose] = []
    async with behind() as url, before(url, on_upstream_close=lambda peer, end: ends.append(end)) as front:
        async with joined(front) as socket:
            await socket.send(f"close {code} {reason}")
            with pytest.raises(ConnectionClosed):
                while True:
                    await socket.recv()
        assert (socket.close_code, socket.close_reason) == expected
    assert ends == [UpstreamClose(url, "upstream", code, reason)]


FRAMES = {
    "no code": (b"\x88\x00", 1000, 1005),
    "lost": (b"", 1011, 1006),
    "too big": (b"\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff", 1009, 1009),
    "bad frame": (b"\xf2\x00", 1011, 1006),
    "bad text": (b"\x81\x02\xff\xff", 1011, 1006),
}


@pytest.mark.parametrize("name", FRAMES)
@on_sockets
async def test_ends_that_are_no_codes(name: str) -> None:
    frames, expected, told = FRAMES[name]
    ends: list[UpstreamClose] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(back.heads[0]) + b"\x81\x02hi" + frames)
        await writer.drain()
        if frames:
            await reader.read(1000)

    async with scripted(script) as back:
        target = back.url.replace("http", "ws")
        async with before(target, on_upstream_close=lambda peer, end: ends.append(end)) as front:
            async with joined(front) as socket:
                assert await socket.recv() == "hi"
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            assert socket.close_code == expected
    assert [(end.source, end.code) for end in ends] == [("upstream", told)]


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "bye", (1000, "bye")),
        (4002, "x", (4002, "x")),
        (1001, "", (1000, "")),
        (1008, "no", (1000, "no")),
    ],
)
@on_sockets
async def test_the_clients_end_is_the_upstreams(code: int, reason: str, expected: tuple[int, str]) -> None:
    ends: list[Any] = []
    told: list[UpstreamClose] = []

    async def handler(socket: ServerConnection) -> None:
        await socket.send("there")
        await socket.wait_closed()
        ends.append((socket.close_code, socket.close_reason))

    async with (
        behind(handler) as url,
        before(url, on_upstream_close=lambda peer, end: told.append(end)) as front,
    ):
        async with joined(front) as socket:
            await socket.recv()
            await socket.close(code, reason)
        await until(lambda: ends)
    assert ends == [expected]
    assert told == [UpstreamClose(url, "client", code, reason)]


@on_sockets
async def test_a_client_that_is_lost() -> None:
    ends: list[int | None] = []

    async def handler(socket: ServerConnection) -> None:
        await socket.send("there")
        await socket.wait_closed()
        ends.append(socket.close_code)

    async with behind(handler) as url, before(url) as front:
        async with joined(front) as socket:
            await socket.recv()
            socket.transport.abort()
        await until(lambda: ends)
        await until(lambda: front.app.stats()["tasks"] == 0)
    assert ends == [1000]


@on_sockets
async def test_an_upstream_that_does_not_close_is_cut() -> None:
    cut = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(back.heads[0]) + b"\x81\x02hi")
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                pass
        cut.set()

    async with scripted(script) as back, before(back.url.replace("http", "ws")) as front:
        async with joined(front) as socket:
            assert await socket.recv() == "hi"
        assert not cut.is_set()
        await asyncio.wait_for(cut.wait(), 3)


@on_sockets
async def test_an_upstream_that_answers_no_ping_is_given_up() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(back.heads[0]) + b"\x81\x02hi")
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                pass

    options = {"ping_interval": 0.1, "ping_timeout": 0.1, "close_timeout": 0.1}
    async with scripted(script) as back:
        async with before(back.url.replace("http", "ws"), websocket_options=options) as front:
            async with joined(front) as socket:
                assert await socket.recv() == "hi"
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), 5)
                assert socket.close_code == 1011
