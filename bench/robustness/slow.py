"""Checks 15 and 16: clients that are slow, silent or dead, and how long the server keeps them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.robustness.crowd import Member, crowd, upgrade_head
from bench.robustness.target import Target

__all__ = ["REQUESTS", "BlackHole", "Kept", "black_hole", "dead_peers", "slow_requests"]


@dataclass(slots=True)
class Kept:
    """How long the server kept connections of one kind."""

    count: int
    seconds: list[float] = field(default_factory=list)
    """Of those that it closed."""
    answers: Counter[int] = field(default_factory=Counter)
    """Statuses, or close codes, that it sent before; 0 is none."""

    @property
    def first(self) -> float:
        """Seconds to the first that was closed."""
        return min(self.seconds, default=float("inf"))

    @property
    def last(self) -> float:
        """Seconds until all were closed; infinite if the patience ended before."""
        return max(self.seconds) if len(self.seconds) == self.count else float("inf")


HELLO = b"GET /bench/work?ms=0 HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST /bench/body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n12345"
REQUESTS: dict[str, tuple[bytes, bool]] = {
    "slow header": (HELLO + b"X-Slow: ", True),
    "slow body": (BODY, False),
    "silent TCP": (b"", False),
    "unfinished handshake": (upgrade_head("/bench/echo", 80)[:-2], False),
}
"""What is sent at once, and whether a byte more goes every second."""


async def slow_requests(target: Target, count: int, patience: float, pace: float = 1.0) -> dict[str, Kept]:
    """Open so many connections of each kind, all at once, and see when each of them is closed."""
    kinds = {name: Kept(count) for name in REQUESTS}

    async def one(name: str) -> None:
        data, drips = REQUESTS[name]
        # Before it connects: the server may know of the connection sooner than we do.
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        dripping = None
        try:
            if data:
                writer.write(data)
            if drips:
                dripping = asyncio.create_task(_drip(writer, pace))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    answer = await _to_end(reader)
                    kinds[name].seconds.append(time.monotonic() - began)
                    kinds[name].answers[int(answer[9:12] or 0)] += 1
        finally:
            if dripping is not None:
                dripping.cancel()
            writer.transport.abort()

    await asyncio.gather(*(one(name) for name in REQUESTS for _ in range(count)))
    return kinds


async def _drip(writer: asyncio.StreamWriter, pace: float) -> None:
    while True:
        await asyncio.sleep(pace)
        writer.write(b"a")


async def _to_end(reader: asyncio.StreamReader) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            data += piece
    return data


async def dead_peers(
    target: Target, count: int, patience: float, path: str = "/bench/echo"
) -> dict[str, Kept]:
    """Open WebSockets of clients that stop to live in three ways, and see when the server lets go of each."""
    kinds = {"no pong": Kept(count), "blackholed": Kept(count), "close not answered": Kept(count)}
    async with crowd(target.port) as people, black_hole(target.port) as hole:

        def deaf() -> Member:
            member = Member()
            member.answers = False
            return member

        silent = await people.fill(path, deaf, count)
        began = {"no pong": time.monotonic()}
        behind = [await people.join(path, Member, port=hole.port) for _ in range(count)]
        assert all(member.status == 101 for member in behind)
        hole.swallow()
        began["blackholed"] = time.monotonic()
        closing = await people.fill(path, deaf, count)
        for member in closing:
            member.send(b"close 4000")
        began["close not answered"] = time.monotonic()

        async def watch(name: str, ends: Sequence[Awaitable[object]]) -> None:
            async def one(end: Awaitable[object]) -> None:
                await end
                kinds[name].seconds.append(time.monotonic() - began[name])

            await asyncio.gather(*map(one, ends))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(
                    watch("no pong", [member.done for member in silent]),
                    # What is seen is the socket that the server closes: the client hears nothing.
                    watch("blackholed", hole.ends),
                    watch("close not answered", [member.done for member in closing]),
                )
        for name, members in (("no pong", silent), ("close not answered", closing)):
            kinds[name].answers.update(member.code or 0 for member in members)
    return kinds


class BlackHole:
    """A proxy that can stop to carry anything, while both of its sockets stay open and take what comes."""

    def __init__(self) -> None:
        self.port = 0
        self.ends: list[asyncio.Future[None]] = []
        self._swallows = False
        self._open: set[asyncio.StreamWriter] = set()

    def swallow(self) -> None:
        """From now on nothing comes through."""
        self._swallows = True

    def carry_on(self) -> None:
        """Carry what comes from now on; what was swallowed is gone."""
        self._swallows = False

    def cut(self) -> None:
        """Cut all connections that are open."""
        for writer in list(self._open):
            writer.transport.abort()

    async def carry(self, client: Stream, server: Stream) -> None:
        """Carry both ways, until the server ends its connection."""
        back = asyncio.create_task(self._pipe(server[0], client[1]))
        forth = asyncio.create_task(self._pipe(client[0], server[1]))
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends.append(ended)
        self._open |= {client[1], server[1]}
        try:
            await back
            if not ended.done():
                ended.set_result(None)
        finally:
            forth.cancel()
            self._open -= {client[1], server[1]}
            for writer in (client[1], server[1]):
                writer.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self._swallows:
                    writer.write(data)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def black_hole(port: int) -> AsyncIterator[BlackHole]:
    """Give a proxy before a port of this machine."""
    hole = BlackHole()
    carrying: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carrying.add(task)
        try:
            await hole.carry((reader, writer), await asyncio.open_connection("127.0.0.1", port))
        except asyncio.CancelledError:
            pass
        finally:
            carrying.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    hole.port = server.sockets[0].getsockname()[1]
    try:
        yield hole
    finally:
        server.close()
        for task in list(carrying):
            task.cancel()
        if carrying:
            await asyncio.wait(carrying)
