"""The people of a soak run: those that stay, and those that come, do something rude, and go."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from bench.robustness.crowd import Crowd, Member, frame, upgrade_head

__all__ = ["RUDE", "Population", "stay"]

ROOM = "/room"
PATIENCE = 30
"""Seconds after which a visit that did not end is a fault of the server, and not of a busy machine."""
Rude: TypeAlias = Callable[[int, random.Random], Awaitable[None]]


async def stay(crowd: Crowd, count: int) -> list[Member]:
    """Let so many WebSockets in that stay."""
    return list(await crowd.fill(ROOM, Member, count, deflate=True))


class Population:
    """Keeps a number of people busy; everybody who goes is replaced."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self.port = port
        self.random = random.Random(seed)
        self.came = 0
        self.troubles: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, *works: Callable[[], Awaitable[None]]) -> None:
        """Do each of these again and again."""
        for work in works:
            task = asyncio.create_task(self._again(work))
            self._tasks.add(task)

    async def end(self) -> None:
        """Stop everybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        # What they cut is gone from the loop in its next turns.
        await asyncio.sleep(0.1)

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (OSError, asyncio.IncompleteReadError):
                pass  # an abort of ours, or its answer
            except Exception as error:
                self.troubles.append(repr(error))
                await asyncio.sleep(0.1)
            self.came += 1

    async def rude(self) -> None:
        """Come, do one thing that nobody should do, and go."""
        name = self.random.choice(list(RUDE))
        try:
            async with asyncio.timeout(PATIENCE):
                await RUDE[name](self.port, self.random)
        except TimeoutError as error:
            self.troubles.append(f"{name}: no end within {PATIENCE} s at `{_line(error)}`")
        await asyncio.sleep(self.random.uniform(0, 0.05))

    async def ask(self) -> None:
        """Send requests on one connection, now and then a stream of words."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for _ in range(20):
                writer.write(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    self.troubles.append(head[:80].decode("latin-1"))
                    return
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                await asyncio.sleep(0.05)
            body = b"w" * 20
            writer.write(
                b"POST /room HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 20\r\n\r\n"
            )
            writer.write(body)
            answer = await reader.read(-1)
            if b"word 19" not in answer or b"longwave:end" not in answer:
                self.troubles.append(f"a stream of words was {answer[-80:]!r}")
        finally:
            writer.transport.abort()


async def stream_for(port: int, topic: str, seconds: float) -> None:
    """Listen to an event stream for a while, then close it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET /room?topic={topic} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream"
        writer.write(f"{head}\r\n\r\n".encode())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await reader.read(65536):
                    pass
    finally:
        writer.transport.abort()


async def _open(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(upgrade_head(ROOM, port))
        await reader.readuntil(b"\r\n\r\n")
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _line(error: TimeoutError) -> str:
    """Return the line that was waited in when the time was over."""
    cause = error.__cause__ or error
    lines = [frame.line for frame in traceback.extract_tb(cause.__traceback__) if frame.filename == __file__]
    return (lines[-1] if lines else None) or "nowhere"


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _attack(data: Callable[[random.Random], bytes], *, wait: bool = False) -> Rude:
    """Return one that opens a WebSocket, joins rooms, sends bytes, and is cut, or waits to be closed."""

    async def attack(port: int, chance: random.Random) -> None:
        reader, writer = await _open(port)
        try:
            for _ in range(3):
                writer.write(frame(f"join room {chance.randrange(200)}".encode()))
            # Not all of them: the server would do little else than tell everybody.
            room = "all" if chance.random() < 0.05 else f"room {chance.randrange(200)}"
            writer.write(frame(f"say {room} hello".encode()))
            writer.write(data(chance))
            await asyncio.sleep(chance.uniform(0, 0.05))
            if wait:
                while await reader.read(65536):
                    pass
        finally:
            _reset(writer) if chance.random() < 0.5 else writer.transport.abort()

    return attack


def _request(data: bytes, *, wait: bool = False) -> Rude:
    async def send(port: int, chance: random.Random) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data[: chance.randrange(1, len(data))] if not wait else data)
            await asyncio.sleep(chance.uniform(0, 0.03))
            if wait:
                while await reader.read(65536):
                    pass
        finally:
            _reset(writer) if chance.random() < 0.5 else writer.transport.abort()

    return send


async def _half_closed(port: int, chance: random.Random) -> None:
    reader, writer = await _open(port)
    try:
        writer.write(frame(b"join room 1"))
        writer.write_eof()
        while await reader.read(65536):
            pass
    finally:
        writer.transport.abort()


async def _deaf(port: int, chance: random.Random) -> None:
    """Ask for more than is read."""
    _, writer = await _open(port)
    try:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(4):
            writer.write(frame(b"x" * 200_000, 2))
        await asyncio.sleep(chance.uniform(0.1, 0.5))
    finally:
        _reset(writer)


async def _leaves_stream(port: int, chance: random.Random) -> None:
    """Go from a stream that has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(chance.uniform(0, 0.05))
    finally:
        _reset(writer) if chance.random() < 0.5 else writer.transport.abort()


async def _half_closed_request(port: int, chance: random.Random) -> None:
    """Ask for a stream, say that nothing more comes, and wait for what there is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(chance.choice((GET, POST)))
        writer.write_eof()
        while await reader.read(65536):
            pass
    finally:
        writer.transport.abort()


HEAD = upgrade_head(ROOM, 80)
GET = b"GET /room HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
POST = b"POST /room HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n" + b"w" * 500
BAD = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"

RUDE: dict[str, Rude] = {
    "leaves without a word": _attack(lambda chance: b""),
    "says goodbye": _attack(lambda chance: frame(b"\x03\xe8", 8), wait=True),
    "says goodbye and does not wait": _attack(lambda chance: frame(b"\x03\xe8", 8)),
    "leaves inside a frame": _attack(lambda chance: frame(b"y" * 5000)[: chance.randrange(1, 5000)]),
    "leaves inside a message": _attack(lambda chance: frame(b"z" * 100_000, final=False)),
    "breaks the protocol": _attack(lambda chance: b"\xff\xff", wait=True),
    "sends what is not UTF-8": _attack(lambda chance: frame(b"\xff\xfe"), wait=True),
    "makes a hook fail": _attack(lambda chance: frame(b"fail"), wait=True),
    "sends a message that is too big": _attack(lambda chance: b"\x82\xff" + b"\x7f" * 8 + b"mask", wait=True),
    "half closes": _half_closed,
    "does not read": _deaf,
    "leaves inside a handshake": _request(HEAD),
    "leaves inside a request": _request(POST),
    "leaves a stream": _leaves_stream,
    "half closes a request": _half_closed_request,
    "sends a bad request": _request(BAD, wait=True),
    "asks for nothing that is there": _request(
        b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", wait=True
    ),
}
"""Each kind of rudeness; each must leave nothing."""
