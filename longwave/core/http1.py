"""HTTP/1.1 requests of one connection, one at a time: bytes in, events out (RFC 9112).

The end of a head is found here, within its limits, and httptools is given that head alone; bodies are counted
or read by `ChunkReader`. What comes behind a request waits until `next_request`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from longwave.core.bodies import ChunkReader
from longwave.core.heads import (
    Head,
    check_request_line,
    headers_too_long,
    line_too_long,
    parse_fields,
    parse_head,
)
from longwave.errors import RequestError
from longwave.limits import Limits

__all__ = ["Data", "End", "Event", "Head", "Http1", "parse_fields"]


class Data(Struct):
    """A piece of the body, never empty."""

    data: bytes


class End(Struct):
    """The request is complete; nothing follows until `Http1.next_request`."""


Event: TypeAlias = Head | Data | End

EMPTY_LINES: Final = 4
"""Empty lines ignored before a request line. RFC 9112 section 2.2 asks for at least one."""

_END: Final = End()
_HEAD, _COUNTED, _CHUNKED, _ENDING, _DONE, _CLOSED = range(6)


class Http1:
    """The requests of one connection: `receive`, then `next_event` until None.

    For each request: one `Head`, any number of `Data`, one `End`. After an error, and after a request that
    ends the connection, what comes is dropped.
    """

    __slots__ = (
        "_at",
        "_chunks",
        "_empty_lines",
        "_held",
        "_keep_alive",
        "_left",
        "_limits",
        "_line_end",
        "_scanned",
        "_state",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: bytes | bytearray = b""
        self._at = 0  # where what was not used begins in `_held`
        self._state = _HEAD
        self._scanned = 0  # bytes from `_at` that do not hold the end of the head
        self._line_end = 0  # length of the request line of an unfinished head, once it is there
        self._empty_lines = 0
        self._left = 0
        self._chunks: ChunkReader | None = None
        self._keep_alive = True

    @property
    def held(self) -> int:
        """Bytes that were received and not used yet."""
        return len(self._held) - self._at

    @property
    def is_idle(self) -> bool:
        """Whether no request has begun: the connection may be closed without an answer."""
        return self._state == _HEAD and not self._held

    def receive(self, data: bytes) -> None:
        """Take what came from the network."""
        held = self._held
        if self._state == _CLOSED:
            return
        if not held:
            self._held = data
        elif isinstance(held, bytearray):
            # Both are cheap however often they are done: the front of a bytearray is cut off without a copy.
            del held[: self._at]
            held += data
        else:
            self._held = bytearray(memoryview(held)[self._at :])
            self._held += data
        self._at = 0

    def next_event(self) -> Event | None:
        """Return the next event; None when more data, or `next_request`, must come first.

        Raises `RequestError` once; after it the connection has nothing more to say.
        """
        state = self._state
        try:
            if state == _HEAD:
                return self._read_head() if self._held else None
            if state == _ENDING:
                self._state = _DONE
                return _END
            if state == _COUNTED:
                return self._read_counted()
            if state == _CHUNKED:
                return self._read_chunked()
        except RequestError:
            self._close()
            raise
        return None

    def next_request(self) -> None:
        """Go on to the next request; after `End`, or after a `Head` that has no body.

        When the request ended the connection, nothing follows and what was held is dropped.
        """
        if self._state in (_ENDING, _DONE):
            self._state = _HEAD
            if not self._keep_alive:
                self._close()
        elif self._state != _CLOSED:
            raise RuntimeError("the request is not complete: its body was not read to the end")

    def take_rest(self) -> bytes:
        """Return everything held after the head, for the protocol that was switched to."""
        rest = bytes(self._held[self._at :])
        self._close()
        return rest

    def _close(self) -> None:
        self._state = _CLOSED
        self._held = b""
        self._at = 0
        self._chunks = None

    def _use(self, end: int) -> None:
        """Drop what comes before the offset `end`."""
        if end == len(self._held):
            self._held = b""
            self._at = 0
        else:
            self._at = end

    def _read_head(self) -> Head | None:
        held = self._held
        at = self._at
        if held[at] == 0x0D:
            if not self._skip_empty_lines():
                return None
            held = self._held
            at = self._at
        limits = self._limits
        bound = at + limits.request_line + limits.headers + 6  # one CRLF and one end, both beyond the limits
        end = held.find(b"\r\n\r\n", at + self._scanned, bound)
        if end < 0:
            self._check_unfinished_head()
            return None
        end += 4
        head = parse_head(bytes(held[at:end]), limits)
        self._use(end)
        self._scanned = self._line_end = self._empty_lines = 0
        self._keep_alive = head.keep_alive
        if not head.has_body:
            self._state = _ENDING
        elif head.content_length is not None:
            self._left = head.content_length
            self._state = _COUNTED
        else:
            self._chunks = ChunkReader(limits)
            self._state = _CHUNKED
        return head

    def _skip_empty_lines(self) -> bool:
        """Skip empty lines before a request line; return whether there is anything behind them."""
        while held := self._held:
            start = held[self._at : self._at + 2]
            if start == b"\r":
                return False
            if start != b"\r\n":
                if start[0] == 0x0D:
                    raise RequestError(400, "a line must end with CRLF")
                return True
            self._empty_lines += 1
            if self._empty_lines > EMPTY_LINES:
                raise RequestError(400, "a request must begin with its request line")
            self._use(self._at + 2)
        return False

    def _check_unfinished_head(self) -> None:
        """Refuse what can never become a head, looking at each byte once."""
        held, at, limits = self._held, self._at, self._limits
        new = at + self._scanned
        if held[at] <= 0x20 or held[at] >= 0x7F:
            raise RequestError(400, "a request must begin with its method")
        before = max(at, new - 1)
        ends = held.count(b"\r\n", before)
        if held.count(b"\n", new) != ends or held.count(b"\r", before, len(held) - 1) != ends:
            # RFC 9112 section 2.2 allows to take a bare LF for a line end; it is how requests are smuggled.
            raise RequestError(400, "a line must end with CRLF")
        if not self._line_end:
            end = held.find(b"\r\n", before)
            if end < 0:
                if len(held) - at > limits.request_line + 1:
                    raise line_too_long(limits)
            else:
                check_request_line(held, end, limits, at)
                self._line_end = end - at
        if self._line_end and len(held) - at - self._line_end > limits.headers + 3:
            raise headers_too_long(limits)
        self._scanned = max(0, len(held) - at - 3)

    def _read_counted(self) -> Data | None:
        held, at, left = self._held, self._at, self._left
        if not held:
            return None
        data = bytes(held if not at and len(held) <= left else memoryview(held)[at : at + left])
        self._use(at + len(data))
        self._left = left - len(data)
        if not self._left:
            self._state = _ENDING
        return Data(data)

    def _read_chunked(self) -> Event | None:
        chunks = self._chunks
        assert chunks is not None
        if not self._held:
            return None
        data, at = chunks.read(self._held, self._at)
        self._use(at)
        if chunks.finished:
            self._chunks = None
            self._state = _ENDING
            if not data:
                return self.next_event()
        return Data(data) if data else None
