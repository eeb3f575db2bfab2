"""The body of one response as the `Link` of its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from longwave.contract import Session
from longwave.core.sse import BodyWire, SseWire, encode_event
from longwave.server.refusals import retry_time
from longwave.server.state import ERRORS
from longwave.types import Piece, SendStatus

if TYPE_CHECKING:
    from longwave.server.answers import AnsweringConnection

__all__ = ["StreamLink", "StreamWire"]

StreamWire: TypeAlias = SseWire | BodyWire

_SENT = SendStatus.SENT
_BUFFERED = SendStatus.BUFFERED
_CLOSED = SendStatus.CLOSED


class StreamLink:
    """Writes the body of one response.

    The connection goes on with the next request when it is closed.

    `left` counts down where the head told a content length, else it is None. The session hears `closed`
    in a turn of its own, never from inside a call of its own.
    """

    __slots__ = ("_connection", "_ending", "_session", "is_events", "keep_alive", "left", "wire")

    def __init__(
        self,
        connection: AnsweringConnection,
        session: Session,
        wire: StreamWire,
        left: int | None,
        keep_alive: bool,
        is_events: bool,
    ) -> None:
        self._connection: AnsweringConnection | None = connection
        self._session: Session | None = session
        self._ending = (1006, "")
        self.wire = wire
        self.left = left
        self.keep_alive = keep_alive
        self.is_events = is_events

    @property
    def is_open(self) -> bool:
        """Whether the body has not ended."""
        return self._connection is not None

    @property
    def buffered(self) -> int:
        """Bytes accepted and not yet taken by the network."""
        return 0 if self._connection is None else self._connection.buffered

    def write(self, piece: Piece) -> SendStatus:
        """Send a piece of the body; never raises for the network."""
        connection = self._connection
        if connection is None:
            return _CLOSED
        if self.left is not None and not self._count(len(piece)):
            return _CLOSED
        if connection._ready:
            connection._transport.write(piece)
            return _SENT if connection._ready else _BUFFERED
        return connection.write_late(piece)

    def ping(self, data: bytes = b"") -> None:
        """Do nothing: a response has no pings."""

    def pause(self) -> None:
        """Do nothing: nothing is received on a response."""

    def resume(self) -> None:
        """Do nothing."""

    async def drained(self, threshold: int = 0) -> None:
        """Return when at most `threshold` bytes are buffered, or at the end."""
        if self._connection is not None:
            await self._connection.drained(threshold)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the body in order; what waits is still sent."""
        connection = self._connection
        if connection is not None:
            self._connection = None
            self._ending = (code, reason)
            connection.end_stream(self)

    def dismiss(self, code: int) -> None:
        """End an event stream because the server goes.

        Its client is told when to come back.
        """
        connection = self._connection
        if connection is not None:
            if self.left is None:
                connection.write_control(self.wire.raw(encode_event(None, retry=retry_time(code))))
            self.close(code)

    def abort(self) -> None:
        """Cut the connection at once: the client sees a body that is not whole."""
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection.abort()

    # For the connection.

    def open(self) -> None:
        """Tell the session that the head was sent."""
        session = self._session
        if session is not None:
            try:
                session.opened(self)
            except Exception:
                ERRORS.exception("a session failed in opened()")
                self.abort()

    def cut_short(self, code: int) -> None:
        """Take no body: there is none, or nobody to send it to."""
        self._connection = None
        self._ending = (code, "")

    def relieved(self) -> None:
        """Tell the session that there is room again."""
        if self._session is not None and self._connection is not None:
            self._session.drained()

    def lose(self) -> None:
        """Tell the session that it is over, by `close` or because the client is gone."""
        self._connection = None
        session, self._session = self._session, None
        if session is not None:
            try:
                session.closed(*self._ending)
            except Exception:
                ERRORS.exception("a session failed in closed()")

    def _count(self, size: int) -> bool:
        assert self.left is not None
        if size > self.left:
            # RFC 9112 section 6.2: what is beyond the length would be read as the next response.
            ERRORS.error("a response is longer than its content-length; the connection is cut")
            self.abort()
            return False
        self.left -= size
        return True
