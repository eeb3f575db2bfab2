"""Checks 13 and 14: one publisher and many listeners, and four times as many requests as can be answered."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from bench.robustness.crowd import Member, crowd
from bench.robustness.target import Latencies, Target, until

__all__ = ["FanOut", "Listener", "Overload", "Publisher", "fan_out", "overload", "quiet"]

WORK = "/bench/work?ms=4"


class Listener(Member):
    """Checks number and order of what each publisher says, and how old it is."""

    __slots__ = ("_expected", "_sent", "got", "latencies", "wrong")

    def __init__(self, latencies: Latencies) -> None:
        super().__init__()
        self.latencies = latencies
        self.got = 0
        self.wrong = 0
        self._sent = 0
        self._expected: dict[bytes, int] = {}

    def data_received(self, data: bytes) -> None:
        """Take bytes; whatever they hold came at one time."""
        before = self.got
        super().data_received(data)
        if self.got > before:
            age = time.monotonic() - self._sent / 1e9
            self.latencies.add(max(0.0, age), self.got - before)

    def message(self, data: bytes, start: int, stop: int) -> None:
        """Take one: publisher (3 digits), number (9), when it was due (20, in ns), filling."""
        who = data[start : start + 3]
        number = int(data[start + 3 : start + 12])
        if number != self._expected.get(who, 0):
            self.wrong += 1
        self._expected[who] = number + 1
        self._sent = int(data[start + 12 : start + 32])
        self.got += 1


class Publisher:
    """Says numbered messages at a steady rate."""

    def __init__(self, member: Member, name: int, size: int) -> None:
        self._member = member
        self._name = name
        self._size = size
        self.said = 0
        self._stopped = False

    def stop(self) -> None:
        """Say no more, whatever is left of the time."""
        self._stopped = True

    async def speak(self, rate: float, seconds: float) -> None:
        """Publish; a message that is late is as old as it would have been in time."""
        began = time.monotonic()
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await until(due)
            if self._stopped:
                return
            text = b"%03d%09d%020d" % (self._name, self.said, int(due * 1e9))
            self._member.send(text.ljust(self._size, b"."))
            self.said += 1


@dataclass(frozen=True, slots=True)
class FanOut:
    """What became of the publications."""

    expected: int
    got: int
    wrong: int
    """Deliveries that came out of order, or after a hole."""
    p50: float
    p99: float
    seconds: float
    """From the first publication to the last delivery."""


async def fan_out(
    target: Target, listeners: int, rate: float, seconds: float, *, size: int = 256, publishers: int = 1
) -> FanOut:
    """Publish so many messages a second, of all publishers together, to so many listeners."""
    latencies = Latencies()
    async with crowd(target.port) as people:
        members = await people.fill("/bench/room", lambda: Listener(latencies), listeners)
        voices = [
            Publisher(await people.join("/bench/room", Member), name, size) for name in range(publishers)
        ]
        began = time.monotonic()
        await asyncio.gather(*(voice.speak(rate / publishers, seconds) for voice in voices))
        said = sum(voice.said for voice in voices)
        await quiet(members, said)
        return FanOut(
            expected=said * listeners,
            got=sum(member.got for member in members),
            wrong=sum(member.wrong for member in members),
            p50=latencies.p50,
            p99=latencies.p99,
            seconds=time.monotonic() - began,
        )


async def quiet(members: Sequence[Listener], said: int) -> None:
    """Wait until all have all, or nothing has come for two seconds."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 2:
        got = sum(member.got for member in members)
        if got == said * len(members):
            return
        if got != last:
            last, since = got, time.monotonic()
        await asyncio.sleep(0.02)


@dataclass(slots=True)
class Overload:
    """What became of the requests."""

    capacity: float = 0.0
    """Requests a second that were answered one after the other."""
    offered: float = 0.0
    """Requests a second that came."""
    statuses: Counter[str] = field(default_factory=Counter)
    normal: Latencies = field(default_factory=Latencies)
    accepted: Latencies = field(default_factory=Latencies)
    recovered_in: float | None = None
    """Seconds after the overload to a second whose p99 is at most 1.5 times the normal one; None: never."""


async def overload(
    target: Target, seconds: float, *, factor: float = 4.0, patience: float = 10.0
) -> Overload:
    """Send `factor` times what the server can answer, each request on a connection of its own."""
    result = Overload()
    await _steadily(target, 20, 0.5, Latencies(), Counter())
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 1:
        await _request(target.port, WORK)
        count += 1
    result.capacity = count / (time.monotonic() - began)
    calm = result.capacity / 3
    await _steadily(target, calm, 1.5, result.normal, Counter())
    result.offered = factor * result.capacity
    tail = await _steadily(target, result.offered, seconds, result.accepted, result.statuses, wait=False)
    over = time.monotonic()
    limit = max(1.5 * result.normal.p99, result.normal.p99 + 0.02)
    while time.monotonic() - over < patience:
        window, statuses = Latencies(), Counter[str]()
        await _steadily(target, calm, 1.0, window, statuses)
        if set(statuses) == {"200"} and window.p99 <= limit:
            result.recovered_in = time.monotonic() - over - 1.0
            break
    _, late = await asyncio.wait(tail, timeout=patience) if tail else (None, set())
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)
        result.statuses["no answer"] += len(late)
    return result


async def _steadily(
    target: Target,
    rate: float,
    seconds: float,
    latencies: Latencies,
    statuses: Counter[str],
    *,
    wait: bool = True,
) -> set[asyncio.Task[None]]:
    """Begin requests at a rate, whatever becomes of the earlier ones; return those that still run."""
    running: set[asyncio.Task[None]] = set()

    async def one() -> None:
        began = time.monotonic()
        try:
            status = await _request(target.port, WORK)
        except OSError as error:
            statuses[type(error).__name__] += 1
            return
        statuses[str(status)] += 1
        if status == 200:
            latencies.add(time.monotonic() - began)

    began = time.monotonic()
    for number in range(round(rate * seconds)):
        await until(began + number / rate)
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
    if wait and running:
        await asyncio.wait(running)
    return running


class _Answer(asyncio.Protocol):
    """One request and the status of its answer; the connection is cut, so that no port is left waiting."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._data = b""
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(
            f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self.status.done() and b"\r\n\r\n" in self._data:
            self.status.set_result(int(self._data[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(exc or ConnectionResetError("closed without an answer"))


async def _request(port: int, path: str) -> int:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        await loop.sock_connect(sock, ("127.0.0.1", port))
        transport, answer = await loop.create_connection(lambda: _Answer(path), sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        return await answer.status
    finally:
        transport.abort()
