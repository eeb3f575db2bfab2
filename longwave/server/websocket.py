"""An upgraded connection: the `Link` of a WebSocket session, its messages, pings, and its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from longwave.contract import Link, Session
from longwave.core.bucket import Bucket
from longwave.core.frames import (
    WS,
    encode_close,
    encode_close_answer,
    encode_ping,
    encode_pong,
    split_frames,
)
from longwave.core.ws import Close, Event, Ping, WebSocket
from longwave.errors import ProtocolError
from longwave.server.connection import (
    HOLD_APP,
    HOLD_SLOW,
    HOLD_TURN,
    NEVER,
    OVER,
    Connection,
    Flow,
    Transport,
)
from longwave.server.state import ERRORS, Worker
from longwave.types import Piece, SendStatus, SlowPolicy, Wire

__all__ = ["WebSocketConnection"]

OPEN: Final = 0
CLOSING: Final = 1
"""Our close frame is sent; the client's is waited for, messages are thrown away."""
LINGERING: Final = 2
"""Both have closed, or the client broke the protocol: only the end of the connection is waited for."""
GONE: Final = 3

LARGE: Final = 64 * 1024
"""Bytes of a read after which others have their turn: libuv reads up to 32 times before it looks at them."""

_LIMIT_OF_CODE = {1008: "limits.fragments", 1009: "limits.message"}


class WebSocketConnection(Connection):
    """One WebSocket.

    Made by the HTTP connection at the upgrade, whose transport it takes over.

    `quiet` is false when bytes came since the last sweep. `_direct` is the hot path of reading: open, and
    nothing forbids to hand over a message. `_told` is the code and reason that the session will hear.
    """

    __slots__ = (
        "_bucket",
        "_deadline",
        "_direct",
        "_pinged",
        "_session",
        "_slow_policy",
        "_state",
        "_told",
        "_unfinished",
        "_ws",
    )

    wire: Wire = WS

    def __init__(self, worker: Worker, session: Session, policy: SlowPolicy) -> None:
        super().__init__(worker)
        limits = worker.limits
        self._session = session
        self._slow_policy = policy
        self._ws = WebSocket(limits.message, limits.fragments)
        self._state = OPEN
        self._told: tuple[int, str] | None = None
        self._unfinished = 0
        self._pinged = False
        self._deadline = NEVER
        self._bucket = Bucket(limits.message_rate) if limits.message_rate else None
        self._direct = self._bucket is None

    def take_over(self, transport: Transport, head: bytes, rest: bytes) -> None:
        """Begin.

        The head of the answer is written, then the session hears of it, then what came early.
        """
        self.take_transport(transport)
        self.cork()
        self.write_control(head)
        try:
            self._session.opened(self)
        except Exception as error:
            self._failed(error)
        self.uncork()
        if rest:
            self.data_received(rest)

    # The link.

    def write_late(self, piece: Piece) -> SendStatus:
        """Do as `Connection.write_late`, at the bound message by message.

        What is published within one turn is joined.
        """
        if self._cork is None and self._open and self.buffered + len(piece) > self.worker.limits.outgoing:
            status = SendStatus.SENT
            for one in self._split(piece):
                status = super().write_late(one)
                if status is SendStatus.CLOSED:
                    break
            return status
        return super().write_late(piece)

    def ping(self, data: bytes = b"") -> None:
        """Send a ping; `ValueError` above 125 bytes.

        At twice the bound of what waits it is left out.
        """
        frame = encode_ping(data)
        if self._state == OPEN and self.buffered < 2 * self.worker.limits.outgoing:
            self.write_control(frame)

    def pause(self) -> None:
        """Hand over no further message until `resume`."""
        if self._state == OPEN:
            self._direct = False
            self.hold(HOLD_APP)

    def resume(self) -> None:
        """Take back `pause`; what came meanwhile has the next turn of the loop."""
        self.release(HOLD_APP)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and give the client `timeouts.close` to answer.

        `ValueError` for bad values.

        No message is handed over from now on. The session hears this code when it is over.
        """
        frame = encode_close(code, reason)
        if self._state != OPEN:
            return
        self._state = CLOSING
        self._take_no_more()
        self._direct = False
        self._told = (code, reason)
        self._deadline = self.worker.now + self.worker.period + self.worker.timeouts.close
        self.write_control(frame)
        if self._flow is not None:
            self._flow.wake(-1)
        # Whatever kept us from reading: now it is only for the client's close frame.
        self.release(HOLD_APP | HOLD_SLOW)

    def abort(self) -> None:
        """Cut the connection at once.

        What came with the message of this moment is not handed over.
        """
        if self._state < LINGERING:
            self._state = LINGERING
            self._direct = False
        super().abort()

    # What the transport tells.

    def data_received(self, data: bytes) -> None:
        """Take bytes; the usual read is one whole small message."""
        self.quiet = False
        if self._direct:
            try:
                message = self._ws.receive_one(data)
                if message is not None:
                    self.worker.messages += 1
                    self._session.received(message, message.__class__ is str)
                    return
            except Exception as error:
                self._failed(error)
                return
        self._receive(data)

    def eof_received(self) -> bool:
        """The client sends no more: it is gone, whatever it still wants to hear."""
        if self._state != GONE:
            self._state = LINGERING
            self._direct = False
            self._deadline = self.worker.now + self.worker.period + self.worker.timeouts.close
            self._shut()
            self._end(1006, "")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; the session hears it, unless it did already."""
        super().connection_lost(exc)
        self._direct = False
        self._set_unfinished(0)
        self._state = GONE
        self._end(1006, "")

    # What the worker asks.

    @property
    def unfinished(self) -> int:
        """Bytes that are held for a message that is not whole."""
        return self._unfinished

    def too_big(self) -> None:
        """Close with 1009: the unfinished messages of all take too much."""
        self._fail(1009, "too many unfinished messages")

    @property
    def is_lasting(self) -> bool:
        """Whether it is open."""
        return self._state == OPEN

    def finish(self, code: int) -> None:
        """Close because the worker stops."""
        self.close(code)

    def check(self, now: float) -> None:
        """Ping after silence, cut after silence upon a ping, cut what does not end."""
        if self._state == OPEN:
            if not self.quiet:
                self.quiet = True
                self._pinged = False
                self._deadline = now + (self.worker.timeouts.ping or NEVER)
            slow = self._flow is not None and self._flow.congested
            if slow or self._holds:
                # We do not read it: its silence says nothing. But it has to take what waits for it.
                self.quiet = False
                if (slow and self.stuck(now)) or self.is_reset():
                    self.abort()
            elif now >= self._deadline - self.worker.period / 2:
                self._silent(now)
        elif now >= self._deadline:
            if self._state == CLOSING:
                self.worker.passed("timeouts.close")
            self.abort()

    def _silent(self, now: float) -> None:
        worker = self.worker
        if self._pinged:
            worker.passed("timeouts.pong")
            self.abort()
        elif worker.pings:
            worker.pings -= 1
            worker.passed("timeouts.ping")
            self._pinged = True
            self._deadline = now + (worker.timeouts.pong or NEVER)
            self.write_control(b"\x89\x00")

    # Reading.

    def _receive(self, data: bytes) -> None:
        """Take bytes of any kind: several messages, parts of one, control frames."""
        ws = self._ws
        events = ws.receive(data)
        if self._holds:
            return
        self.cork()
        try:
            self._hand_over(events)
        except Exception as error:
            self._failed(error)
        self.uncork()
        self._set_unfinished(0 if self._holds else ws.held)
        if len(data) >= LARGE and not self._holds:
            self.yield_turn()

    def _hand_over(self, events: Iterator[Event]) -> None:
        """Tell the session of each message, until something forbids more or its share of time is used."""
        worker = self.worker
        received, unlimited = self._session.received, self._bucket is None
        left = worker.limits.messages_per_turn
        end = 0.0
        ws = self._ws
        for event in events:
            kind = event.__class__
            if (kind is str or kind is bytes) and unlimited and self._state == OPEN:
                worker.messages += 1
                received(event, kind is str)  # type: ignore[arg-type]
            else:
                self._take(event)
            if self._holds:
                return
            left -= 1
            if left & 15 == 15 or ws.was_fragmented:
                ws.was_fragmented = False
                end = self.turn_end(end)
                if end == OVER:
                    left = 0
            if left <= 0:
                self.end_turn(end)
                return

    def _take(self, event: Event) -> None:
        """Act on one event of any kind."""
        session, bucket = self._session, self._bucket
        if isinstance(event, Close):
            self._closed_by_client(event)
        elif self._state != OPEN:
            pass  # after a close frame of ours
        elif bucket is not None and not bucket.take(self.worker.clock()):
            self.worker.passed("limits.message_rate")
            self.close(1008, "too many messages")
        elif isinstance(event, (str, bytes)):
            self.worker.messages += 1
            session.received(event, isinstance(event, str))
        elif isinstance(event, Ping):
            self.write_control(encode_pong(event.data))
            session.pinged(event.data)
        else:
            session.ponged(event.data)

    def yield_turn(self) -> None:
        """Go on in the next turn of the loop."""
        self._direct = False
        super().yield_turn()

    def _turn(self) -> None:
        self._holds &= ~HOLD_TURN
        if not self._holds and self._state != GONE:
            self._receive(b"")
            if not self._holds:
                self._read_on()

    def _readable(self) -> None:
        # What is held has its own turn of the loop: `resume` may be called from inside a hook.
        if self._ws.held:
            self.yield_turn()
        else:
            self._read_on()

    def _read_on(self) -> None:
        self._direct = self._state == OPEN and self._bucket is None
        self._transport.resume_reading()

    # The end.

    def _closed_by_client(self, close: Close) -> None:
        if self._state == OPEN:
            self._state = CLOSING
            self.flush_all()
            self._transport.write(encode_close_answer(close.code))
            self._told = (close.code, close.reason)
        self._linger()
        self._end(close.code, close.reason)

    def _failed(self, error: Exception) -> None:
        """Turn an exception into a close code: the one place where that is done."""
        if isinstance(error, ProtocolError):
            name = _LIMIT_OF_CODE.get(error.code)
            if name is not None:
                self.worker.passed(name)
            self._fail(error.code, error.reason)
        else:
            self.worker.errors += 1
            ERRORS.error("a WebSocket session failed; it is closed with 1011", exc_info=error)
            self._fail(1011, "internal error")

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): a close frame, and nothing is read any more."""
        if self._state == OPEN:
            self._state = CLOSING
            self.flush_all()
            self._transport.write(encode_close(code, reason))
            self._told = (code, reason)
        self._linger()
        self._end(code, reason)

    def _linger(self) -> None:
        if self._state == CLOSING:
            self._state = LINGERING
            self._direct = False
            self._ws = _CLOSED
            self._set_unfinished(0)
            self._deadline = self.worker.now + self.worker.period + self.worker.timeouts.close
            self.flush_all()
            self._shut()
            self.release(HOLD_APP | HOLD_SLOW)
            self.linger()

    def _end(self, code: int, reason: str) -> None:
        """Tell the session, once."""
        session, self._session = self._session, _NOBODY
        code, reason = self._told or (code, reason)
        try:
            session.closed(code, reason)
        except Exception:
            self.worker.errors += 1
            ERRORS.exception("a session failed in closed()")

    def _set_unfinished(self, size: int) -> None:
        if size != self._unfinished:
            change = size - self._unfinished
            self._unfinished = size
            self.worker.hold_unfinished(change)

    def _split(self, piece: Piece) -> Sequence[Piece]:
        """Return the messages of a piece: what was published in one turn is joined."""
        return split_frames(piece)

    def _policy(self) -> SlowPolicy:
        return self._slow_policy

    def _filled(self, flow: Flow) -> None:
        flow.full = True
        if self._state == OPEN:
            self._direct = False
            self.hold(HOLD_SLOW)

    def _overflowed(self) -> None:
        self.close(1013, "too slow")

    def _relieved(self) -> None:
        self._session.drained()


class _Nobody:
    """Stands in for the session after it heard `closed`, so that nothing needs to ask for one."""

    __slots__ = ()

    def opened(self, link: Link) -> None:
        """Do nothing."""

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Do nothing."""

    def pinged(self, data: bytes) -> None:
        """Do nothing."""

    def ponged(self, data: bytes) -> None:
        """Do nothing."""

    def drained(self) -> None:
        """Do nothing."""

    def closed(self, code: int, reason: str) -> None:
        """Do nothing."""


_NOBODY: Session = _Nobody()
# Stands in for the reader of a connection that is not read any more, and frees what that one held.
_CLOSED = WebSocket()
_CLOSED.closed = True
