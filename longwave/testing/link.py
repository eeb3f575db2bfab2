"""The client's end of a link in process: no socket, and the test is the network.

What the application writes waits in the same bounded outbox as on a server, until the test receives it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from longwave.contract import Session
from longwave.core.outbox import Outbox
from longwave.core.sse import BODY, BodyWire, SseWire, sse_wire
from longwave.limits import Limits
from longwave.types import Piece, Publication, SendStatus, SlowPolicy, Wire

__all__ = ["MEMORY", "Frame", "MemoryLink", "MemoryWire", "SocketLink", "StreamLink", "settle"]

_TURNS: Final = 20
"""Turns of the loop in which the application reacts to what the client did."""


class Frame(NamedTuple):
    """One message on its way to the test."""

    payload: bytes
    is_text: bool


class MemoryWire:
    """The wire of WebSockets in process: a piece is a tuple of frames."""

    __slots__ = ()

    def encode(self, outgoing: Publication) -> tuple[Frame, ...]:
        """Return the piece of one publication."""
        return (Frame(outgoing.payload, outgoing.is_text),)

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> tuple[Frame, ...]:
        """Return the piece of one message."""
        return (Frame(payload, is_text),)

    def join(self, pieces: Sequence[tuple[Frame, ...]]) -> tuple[Frame, ...]:
        """Return the frames of all pieces in order."""
        return tuple(frame for piece in pieces for frame in piece)

    def size(self, piece: tuple[Frame, ...]) -> int:
        """Return the bytes of the payloads."""
        return sum(len(frame.payload) for frame in piece)


MEMORY: Final = MemoryWire()


class MemoryLink:
    """A `contract.Link` to a test; `outcome` is how it ended, None while it is open."""

    def __init__(self, session: Session, wire: Wire, limits: Limits, policy: SlowPolicy) -> None:
        self.wire = wire
        self.session = session
        self.outcome: tuple[int, str] | None = None
        self._limits = limits
        self._outbox = Outbox(limits.outgoing, policy)
        self._high = False
        self._ending = False
        self._news: list[asyncio.Future[None]] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def buffered(self) -> int:
        """Bytes that the test has not received yet."""
        return self._outbox.size

    def write(self, piece: Piece) -> SendStatus:
        """Take a piece, or do what the policy says."""
        if self._ending:
            return SendStatus.CLOSED
        status = self._outbox.offer(piece, self.wire.size(piece))
        if status is SendStatus.CLOSED:
            self.close(1013, "too slow")
        elif status is not SendStatus.DROPPED:
            self._high = self._high or status is SendStatus.BUFFERED
            self._tell()
        return status

    def ping(self, data: bytes = b"") -> None:
        """Send a ping; a response body has none."""

    def pause(self) -> None:
        """Ask for no further messages."""

    def resume(self) -> None:
        """Take back `pause`."""

    async def drained(self, threshold: int = 0) -> None:
        """Return when all but `threshold` bytes are received, or the link is closing."""
        if self.buffered <= threshold or self._ending:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((threshold, done))
        await done

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the link; what was written before can still be received."""
        self.end(code, reason)

    def abort(self) -> None:
        """Cut the link; what was not received is lost."""
        if self.outcome is None:
            self._outbox.clear()
        self.end(1006, "")

    def end(self, code: int, reason: str) -> None:
        """Either side has ended it; the session hears that in the next turn of the loop."""
        if self._ending:
            return
        self._ending = True
        self.outcome = code, reason
        asyncio.get_running_loop().call_soon(self.session.closed, code, reason)
        self._wake(-1)
        self._tell()

    def take(self) -> list[Piece]:
        """Return what was written since the last time."""
        pieces = self._outbox.take(self._outbox.size + 1)
        size = self._outbox.size
        if self._high and 4 * size <= self._limits.outgoing:
            self._high = False
            if not self._ending:
                asyncio.get_running_loop().call_soon(self.session.drained)
        self._wake(size)
        return pieces

    async def wait(self) -> None:
        """Return when something may have been written, or the link may have ended."""
        if not self._outbox and self.outcome is None:
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._news.append(news)
            await news

    def _tell(self) -> None:
        for news in self._news:
            if not news.done():
                news.set_result(None)
        self._news.clear()

    def _wake(self, size: int) -> None:
        for threshold, done in self._waiting:
            if size <= threshold and not done.done():
                done.set_result(None)
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]


class StreamLink(MemoryLink):
    """The body of a response."""

    wire: SseWire | BodyWire

    def __init__(self, session: Session, format: str, limits: Limits) -> None:
        super().__init__(session, sse_wire(False) if format == "sse" else BODY, limits, SlowPolicy.CLOSE)


class SocketLink(MemoryLink):
    """A WebSocket: the client's messages wait while the application does not read."""

    def __init__(self, session: Session, limits: Limits, policy: SlowPolicy) -> None:
        super().__init__(session, MEMORY, limits, policy)
        self.pings: list[bytes] = []
        self.answer_pings = True
        self._paused = False
        self._incoming: deque[tuple[str | bytes, bool] | tuple[int, str]] = deque()
        self._taken: list[asyncio.Future[None]] = []

    @property
    def held(self) -> bool:
        """Whether the application reads nothing: as it asked, or its client is too slow."""
        return (self._paused or 2 * self.buffered > self._limits.outgoing) and not self._ending

    @property
    def unread(self) -> int:
        """Messages of the client that the application has not read yet."""
        return len(self._incoming)

    def ping(self, data: bytes = b"") -> None:
        """Send a ping, which the test's client answers as browsers do."""
        if len(data) > 125:
            raise ValueError(f"a ping carries at most 125 bytes, not {len(data)}")
        if not self._ending:
            self.pings.append(data)
            if self.answer_pings:
                asyncio.get_running_loop().call_soon(self._answer, data)

    def pause(self) -> None:
        """Ask for no further messages."""
        self._paused = True

    def resume(self) -> None:
        """Take back `pause`."""
        self._paused = False
        if self._incoming:
            asyncio.get_running_loop().call_soon(self.read)

    def put(self, entry: tuple[str | bytes, bool] | tuple[int, str]) -> None:
        """Take a message of the client, or its close as code and reason, behind the rest."""
        self._incoming.append(entry)
        self.read()

    def read(self) -> None:
        """Hand over what waits, as far as the application reads."""
        while self._incoming and not self.held:
            first, second = self._incoming.popleft()
            if isinstance(first, int):
                self.end(first, str(second))
            elif not self._ending:
                size = len(first.encode()) if isinstance(first, str) else len(first)
                if size > self._limits.message:
                    self.close(1009, f"a message has at most {self._limits.message} bytes")
                else:
                    self.session.received(first, isinstance(first, str))
        if not self._incoming:
            for taken in self._taken:
                if not taken.done():
                    taken.set_result(None)
            self._taken.clear()

    def take(self) -> list[Piece]:
        """Return what was written since the last time; the application may read again."""
        pieces = super().take()
        self.read()
        return pieces

    async def all_read(self) -> None:
        """Return when the application has read all that the client sent."""
        if self._incoming:
            taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._taken.append(taken)
            await taken

    def _answer(self, data: bytes) -> None:
        if not self._ending:
            self.session.ponged(data)


async def settle() -> None:
    """Let everything that can run now run."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
