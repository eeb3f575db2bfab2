"""One accepted connection: writing within a bound, reading only when that makes sense, deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from typing import Any, Protocol

from longwave.core.outbox import Outbox
from longwave.server.state import Worker
from longwave.types import Piece, SendStatus, SlowPolicy

__all__ = [
    "HOLD_APP",
    "HOLD_BODY",
    "HOLD_SLOW",
    "HOLD_TURN",
    "HOLD_WAITING",
    "OVER",
    "Connection",
    "Transport",
]

# Why a connection is not read. All are bits of one number: reading goes on when none is left.
HOLD_APP = 1
"""The session asked for it."""
HOLD_SLOW = 2
"""The client does not take what it is sent: an echo throttles itself."""
HOLD_TURN = 4
"""Others have their turn first; what was read already waits for `call_soon`."""
HOLD_BODY = 8
"""Nobody reads the request body."""
HOLD_WAITING = 16
"""Enough requests wait behind the one that is being answered."""

CORK = 64 * 1024
"""Bytes that are gathered at most before they are written together."""
LINGER = 1.0
"""Seconds in which what the client still sends is thrown away, so that it is not answered by a reset."""
NEVER = float("inf")
OVER = -1.0
"""The end of a turn that has passed."""
_TCP_INFO = 11 if sys.platform == "linux" else 0
_TCP_CLOSE = 7

_SENT = SendStatus.SENT
_BUFFERED = SendStatus.BUFFERED


class Transport(Protocol):
    """What we use of `asyncio.Transport`; uvloop's is no subclass of it."""

    def write(self, data: bytes) -> None:
        """Write bytes now, or when there is room."""

    def write_eof(self) -> None:
        """End our side after what was written."""

    def can_write_eof(self) -> bool:
        """Whether one side can be ended alone."""

    def close(self) -> None:
        """Close after what was written."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None:
        """Read no more."""

    def resume_reading(self) -> None:
        """Read again."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Tell another protocol from now on."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks of `pause_writing` and `resume_writing`."""

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait."""

    def get_extra_info(self, name: str, default: object = None) -> Any:
        """Return what is known of the connection."""


class Connection(asyncio.Protocol):
    """What is the same for a connection that speaks HTTP and one of a WebSocket.

    `_ready` is the hot path: open, not corked, and the client takes what it is sent. While it is false,
    pieces go to the cork or to an `Outbox`, which exists only as long as somebody is slow or waits. `_spare`
    is how many bytes may be gathered without a question, -1 where each is one.
    """

    __slots__ = (
        "_cork",
        "_corked",
        "_flow",
        "_holds",
        "_open",
        "_ready",
        "_spare",
        "_transport",
        "address",
        "quiet",
        "worker",
    )

    _transport: Transport

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.quiet = False
        self.address: str | None = None
        self._open = False
        self._ready = False
        self._holds = 0
        self._flow: Flow | None = None
        self._cork: list[Piece] | None = None
        self._corked = 0
        self._spare = -1

    def take_transport(self, transport: Transport) -> None:
        """Use a transport.

        The bound of outgoing bytes is kept by its own callbacks, not at each write.
        """
        self._transport = transport
        transport.set_write_buffer_limits(high=self.worker.half, low=self.worker.quarter)
        self._open = self._ready = True
        self.worker.add(self)

    # What a session may ask.

    @property
    def buffered(self) -> int:
        """Bytes accepted and not yet taken by the network."""
        size = self._transport.get_write_buffer_size() + self._corked
        return size if self._flow is None else size + self._flow.outbox.size

    def write(self, piece: Piece) -> SendStatus:
        """Send a piece, in order; never raises for the network."""
        if self._ready:
            self._transport.write(piece)
            return _SENT if self._ready else _BUFFERED
        corked = self._corked + len(piece)
        if corked <= self._spare:
            self._cork.append(piece)  # type: ignore[union-attr]
            self._corked = corked
            return _SENT
        return self.write_late(piece)

    async def drained(self, threshold: int = 0) -> None:
        """Return when at most `threshold` bytes are buffered, or at the end."""
        self.flush()
        if not self._open or self.buffered <= threshold:
            return
        flow = self._slow()
        waiter = self.worker.loop.create_future()
        entry = (threshold, waiter)
        flow.waiters.append(entry)
        self._listen(flow)
        try:
            await waiter
        finally:
            with contextlib.suppress(ValueError):
                flow.waiters.remove(entry)

    def abort(self) -> None:
        """Cut the connection at once."""
        self._take_no_more()
        if self._cork:
            self._cork.clear()
            self._corked = 0
        self._transport.abort()

    def hold(self, why: int) -> None:
        """Do not read for a reason, until `release` takes it back."""
        if not self._holds:
            self._transport.pause_reading()
        self._holds |= why

    def release(self, why: int) -> None:
        """Take back a reason not to read."""
        if self._holds & why:
            self._holds &= ~why
            if not self._holds:
                self._readable()

    # One connection's share of a turn of the loop.

    def turn_end(self, end: float) -> float:
        """Return when the turn ends: `end`, set at the first call (0), or `OVER`.

        Asked after the first message, each that may have been long, and else rarely: it reads the clock.
        """
        moment = self.worker.clock()
        if not end:
            return moment + self.worker.timeouts.turn
        return OVER if moment > end else end

    def end_turn(self, end: float) -> None:
        """Give way to others: the share is used up, by time or number, and more was read."""
        self.worker.passed("timeouts.turn" if end == OVER else "limits.messages_per_turn")
        self.yield_turn()

    def yield_turn(self) -> None:
        """Go on in the next turn of the loop."""
        self.hold(HOLD_TURN)
        self.worker.loop.call_soon(self._turn)

    # What the transport tells.

    def pause_writing(self) -> None:
        """The transport holds more than half the bound, or than somebody waits for."""
        self._ready = False
        flow = self._slow()
        flow.congested = True
        if not flow.full and self.buffered > self.worker.half:
            self._filled(flow)

    def resume_writing(self) -> None:
        """The transport has room again: first goes what waited longest."""
        flow = self._flow
        if flow is None:
            return
        worker = self.worker
        flow.congested = False
        self._transport.set_write_buffer_limits(high=worker.half, low=worker.quarter)
        while flow.outbox and not flow.congested:
            before = flow.outbox.size
            pieces = flow.outbox.take(worker.quarter + 1)
            worker.hold_more(flow.outbox.size - before)
            self._put(pieces)
        self._settle(flow)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        if isinstance(exc, OSError) and exc.errno == errno.ETIMEDOUT:
            # The kernel was first: nothing was taken, or acknowledged, for as long (see `listener`).
            self.worker.passed("timeouts.response")
        self._shut()
        self.worker.remove(self)

    # What the worker asks.

    @property
    def unfinished(self) -> int:
        """Bytes of a message that is not whole yet."""
        return 0

    def too_big(self) -> None:
        """Close for the bytes of an unfinished message."""

    def check(self, now: float) -> None:
        """Look at the time; called by the sweep of the worker."""

    @property
    def is_lasting(self) -> bool:
        """Whether it is an open WebSocket or event stream: its client comes back."""
        return False

    def finish(self, code: int) -> None:
        """Come to an end in order: the worker stops."""

    def overflow(self) -> None:
        """Act as if one piece too many had come."""
        flow = self._flow
        if flow is not None:
            before = (flow.outbox.size, flow.outbox.dropped)
            flow.outbox.clear()
            self._account(flow, before)
        if self._policy() is SlowPolicy.CLOSE and self._open:
            self._overflowed()

    # For the classes below this one.

    def write_late(self, piece: Piece) -> SendStatus:
        """Do what `write` does where the piece cannot go to the transport directly."""
        if not self._open:
            return SendStatus.CLOSED
        size = len(piece)
        if self._cork is not None:
            self._cork.append(piece)
            self._corked += size
            if self._corked > CORK:
                self.flush()
            return _SENT if self.buffered <= self.worker.half else _BUFFERED
        flow = self._slow()
        before = (flow.outbox.size, flow.outbox.dropped)
        status = flow.outbox.offer(piece, size, self._transport.get_write_buffer_size())
        self._account(flow, before)
        if flow.outbox.dropped != before[1]:
            # This piece, or with `drop_old` older ones for it.
            self.worker.passed("limits.outgoing")
        if status is _BUFFERED:
            if not flow.full:
                self._filled(flow)
        elif status is SendStatus.CLOSED:
            self._overflowed()
        return status

    def write_control(self, piece: bytes) -> None:
        """Send what no policy may drop, in order.

        Also after the connection was closed for messages.
        """
        flow = self._flow
        if self._cork is not None:
            self._cork.append(piece)
            self._corked += len(piece)
            if self._corked > CORK:
                self.flush()
        elif flow is not None and flow.congested:
            flow.outbox.keep(piece, len(piece))
            self.worker.hold_more(len(piece))
        else:
            self._transport.write(piece)

    def cork(self) -> None:
        """Gather what is written from now on, until `uncork`."""
        if self._ready:
            self._ready = False
            self._cork = []
            # What may be gathered without a question: it is neither too much at once, nor half the bound.
            self._spare = min(CORK, self.worker.half - self._transport.get_write_buffer_size())

    def uncork(self) -> None:
        """Write what was gathered in one piece."""
        if self._cork is not None:
            self.flush()
            self._cork = None
            self._spare = -1
            self._ready = self._open and (self._flow is None or not self._flow.congested)

    def flush(self) -> None:
        """Write what was gathered so far.

        Where the client is too slow for more, the cork is taken out.
        """
        pieces = self._cork
        if pieces:
            self._cork = []
            self._corked = 0
            self._spare = -1
            self._put(pieces)
            if self._flow is not None and self._flow.congested:
                self._cork = None

    def flush_all(self) -> None:
        """Give everything that waits to the transport; only an end comes after it."""
        self.flush()
        flow = self._flow
        if flow is not None and flow.outbox:
            self.worker.hold_more(-flow.outbox.size)
            self._put(flow.outbox.take(flow.outbox.size))

    def linger(self) -> None:
        """End our side; the client's end, or the caller's deadline, ends the connection.

        A socket that is closed while bytes for it arrive answers with a reset, and a reset makes the
        client's kernel throw away what we wrote last (RFC 9112 section 9.6).
        """
        if self._transport.can_write_eof():
            # asyncio's raises where the client is gone already.
            with contextlib.suppress(OSError):
                self._transport.write_eof()
        else:
            # TLS cannot end one side; its own closing handshake reads what still comes.
            self._transport.close()

    def stuck(self, now: float) -> bool:
        """Whether the client took no byte for `timeouts.response` though there are some."""
        size = self._transport.get_write_buffer_size()
        limit = self.worker.timeouts.response
        if not size or not limit:
            return False
        flow = self._slow()
        if flow.seen != size:
            flow.seen = size
            flow.since = now
            return False
        if now - flow.since < limit - self.worker.period / 2:
            return False
        self.worker.passed("timeouts.response")
        return True

    def is_reset(self) -> bool:
        """Whether the client cut a connection that we do not read.

        No transport tells that; Linux does.
        """
        sock = self._transport.get_extra_info("socket")
        if not self._holds or not _TCP_INFO or sock is None or sock.family == socket.AF_UNIX:
            return False
        with contextlib.suppress(OSError):
            return bool(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] == _TCP_CLOSE)
        return False

    def _turn(self) -> None:
        """Go on with what was read in an earlier turn of the loop."""

    def _put(self, pieces: list[Piece]) -> None:
        """Give pieces to the transport, in order."""
        self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _policy(self) -> SlowPolicy:
        return SlowPolicy.CLOSE

    def _overflowed(self) -> None:
        """Close a connection whose client is too slow."""

    def _relieved(self) -> None:
        """Tell that the outgoing buffer went from above half its bound to a quarter or less."""

    def _readable(self) -> None:
        """Nothing keeps us from reading any more."""
        self._transport.resume_reading()

    def _take_no_more(self) -> None:
        """Take no more pieces; those that were gathered still go."""
        self._open = self._ready = False
        self._spare = -1

    def _shut(self) -> None:
        """Take no more pieces; nobody waits any more."""
        self._take_no_more()
        self._cork = None
        self._corked = 0
        flow, self._flow = self._flow, None
        if flow is not None:
            self.worker.hold_more(-flow.outbox.size)
            flow.wake(-1)

    def _slow(self) -> Flow:
        if self._flow is None:
            self._flow = Flow(Outbox(self.worker.limits.outgoing, self._policy()))
        return self._flow

    def _filled(self, flow: Flow) -> None:
        """Note that more than half the bound is buffered."""
        flow.full = True

    def _account(self, flow: Flow, before: tuple[int, int]) -> None:
        self.worker.dropped += flow.outbox.dropped - before[1]
        self.worker.hold_more(flow.outbox.size - before[0])

    def _settle(self, flow: Flow) -> None:
        """Tell who waits for less to be buffered, and listen for the next level or be ready again."""
        size = self.buffered
        flow.wake(size)
        relieved = flow.full and size <= self.worker.quarter
        if relieved:
            flow.full = False
        if not flow.congested:
            self._listen(flow)
        if relieved:
            self.release(HOLD_SLOW)
            if self._open:
                self._relieved()

    def _listen(self, flow: Flow) -> None:
        """Have the transport tell when the highest level is reached that somebody waits for."""
        levels = [threshold for threshold, _ in flow.waiters]
        if flow.full:
            levels.append(self.worker.quarter)
        if levels and (flow.congested or self._transport.get_write_buffer_size() > max(levels)):
            # With a mark below what it holds a transport calls `pause_writing` at once.
            self._transport.set_write_buffer_limits(high=max(levels), low=max(levels))
        elif not levels and self._flow is flow:
            self._flow = None
            self._ready = self._open and self._cork is None


class Flow:
    """What a connection keeps only while its client is slow or somebody waits."""

    __slots__ = ("congested", "full", "outbox", "seen", "since", "waiters")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.congested = False
        self.full = False
        self.waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.seen = 0
        self.since = 0.0

    def wake(self, size: int) -> None:
        """Resolve who waits for this many bytes or more."""
        waiting = self.waiters
        if waiting:
            self.waiters = [entry for entry in waiting if entry[0] < size]
            for threshold, waiter in waiting:
                if threshold >= size and not waiter.done():
                    waiter.set_result(None)
