"""Sessions and links that count what goes through them, and say when they begin and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from longwave.contract import Link, Session
from longwave.core.frames import count_frames
from longwave.inspector.activity import Connection
from longwave.types import Piece, SendStatus, Wire

if TYPE_CHECKING:
    from longwave.inspector.observed import Observed

__all__ = ["BodySession", "CountedLink", "CountedSession", "count_events", "count_messages"]

_SENT = SendStatus.SENT
_BUFFERED = SendStatus.BUFFERED


class CountedSession:
    """The session of one connection, whose link counts too."""

    __slots__ = ("_connection", "_count", "_observed", "_session")

    def __init__(
        self,
        observed: Observed,
        connection: Connection,
        session: Session,
        count: Callable[[Piece], int],
    ) -> None:
        self._observed = observed
        self._connection = connection
        self._session = session
        self._count = count

    def opened(self, link: Link) -> None:
        """Count from now on."""
        counted = CountedLink(link, self._connection, self._count)
        self._connection.attach(counted)
        self._observed.connect(self._connection)
        self._session.opened(counted)

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Count a message and hand it on."""
        connection = self._connection
        connection.received += 1
        connection.received_bytes += _size(data)
        self._session.received(data, is_text)

    def pinged(self, data: bytes) -> None:
        """Hand it on."""
        self._session.pinged(data)

    def ponged(self, data: bytes) -> None:
        """Hand it on."""
        self._session.ponged(data)

    def drained(self) -> None:
        """Hand it on."""
        self._session.drained()

    def closed(self, code: int, reason: str) -> None:
        """Tell of the end, and hand it on."""
        try:
            self._session.closed(code, reason)
        finally:
            self._observed.disconnect(self._connection, code, reason)
            self._connection.attach(None)


class CountedLink:
    """The link of one connection, which counts what is written."""

    __slots__ = ("_connection", "_count", "_link", "_size", "wire")

    def __init__(self, link: Link, connection: Connection, count: Callable[[Piece], int]) -> None:
        self.wire: Wire = link.wire
        self._size = self.wire.size
        self._link = link
        self._connection = connection
        self._count = count

    @property
    def buffered(self) -> int:
        """Bytes accepted and not yet taken by the network."""
        return self._link.buffered

    def write(self, piece: Piece) -> SendStatus:
        """Send a piece, and count it where it is accepted."""
        status = self._link.write(piece)
        if status is _SENT or status is _BUFFERED:
            connection = self._connection
            connection.sent += self._count(piece)
            connection.sent_bytes += self._size(piece)
        return status

    def ping(self, data: bytes = b"") -> None:
        """Hand it on."""
        self._link.ping(data)

    def pause(self) -> None:
        """Hand it on."""
        self._link.pause()

    def resume(self) -> None:
        """Hand it on."""
        self._link.resume()

    async def drained(self, threshold: int = 0) -> None:
        """Hand it on."""
        await self._link.drained(threshold)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Hand it on."""
        self._link.close(code, reason)

    def abort(self) -> None:
        """Hand it on."""
        self._link.abort()


class BodySession:
    """The session of a streamed body, which is a request until its end."""

    __slots__ = ("_ended", "_session")

    def __init__(self, session: Session, ended: Callable[[], None]) -> None:
        self._session = session
        self._ended: Callable[[], None] | None = ended

    def opened(self, link: Link) -> None:
        """Hand it on; nothing is counted."""
        self._session.opened(link)

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Nothing comes on a response."""

    def pinged(self, data: bytes) -> None:
        """Nothing comes on a response."""

    def ponged(self, data: bytes) -> None:
        """Nothing comes on a response."""

    def drained(self) -> None:
        """Hand it on."""
        self._session.drained()

    def closed(self, code: int, reason: str) -> None:
        """Tell of the request, and hand it on."""
        ended, self._ended = self._ended, None
        self._session.closed(code, reason)
        if ended is not None:
            ended()


def count_messages(piece: Piece) -> int:
    """Return how many messages a piece for a WebSocket is, whatever its server."""
    if isinstance(piece, bytes):
        return count_frames(piece)
    # What is compressed later says its bytes by `len`.
    return len(piece.parts if hasattr(piece, "parts") else piece)


def count_events(piece: Piece) -> int:
    """Return how many events a piece of a stream is; a heartbeat is none."""
    data: bytes = piece
    # A chunk begins with a line of its own.
    if data.startswith(b":") or data.startswith(b":", data.find(b"\n") + 1):
        return 0
    return data.count(b"\n\n") or data.count(b"\r\n\r\n")


def _size(data: str | bytes) -> int:
    if isinstance(data, bytes) or data.isascii():
        return len(data)
    return len(data.encode(errors="surrogatepass"))
