"""The one HTTP/1.1 response of a connection to an upstream: bytes in, events out (RFC 9112).

As strict as the reading of requests: an answer about whose end two readers could disagree is refused, for a
proxy hands on what it reads.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import httptools
from msgspec import Struct
from msgspec.structs import replace

from longwave.core.bodies import ChunkReader
from longwave.core.http1 import Data, End
from longwave.errors import RequestError, UpstreamError
from longwave.limits import Limits
from longwave.types import Fields

__all__ = ["INTERIM", "ResponseEvent", "ResponseHead", "ResponseReader"]

INTERIM: Final = 8
"""Responses of 100 to 199 before the real one; a client "MUST be able to parse" several (RFC 9110 15.2)."""


class ResponseHead(Struct):
    """A response head that was read and checked.

    `fields` are as they came, their names in lower case.
    """

    status: int
    fields: Fields
    has_body: bool
    content_length: int | None
    """As it was given; None for a body that is chunked or that ends with the connection."""


ResponseEvent: TypeAlias = ResponseHead | Data | End

_END: Final = End()
_HEAD, _COUNTED, _CHUNKED, _UNTIL_CLOSE, _ENDING, _DONE = range(6)


class ResponseReader:
    """Reads the response to one request.

    `receive` or `receive_end`, then `next_event` until None. One `ResponseHead`, any number of `Data`, one
    `End`. The body has no bound, its framing has: head and trailers that of `limits.headers` and
    `limits.header_count`. Interim responses are skipped.
    """

    __slots__ = ("_chunks", "_closed", "_held", "_interim", "_left", "_limits", "_method", "_state")

    def __init__(self, method: str, limits: Limits) -> None:
        self._method = method
        self._limits = limits
        self._held = bytearray()
        self._state = _HEAD
        self._left = 0
        self._interim = 0
        self._chunks: ChunkReader | None = None
        self._closed = False

    def receive(self, data: bytes) -> None:
        """Take what came from the network."""
        self._held += data

    def receive_end(self) -> None:
        """The upstream sends nothing more."""
        self._closed = True

    def next_event(self) -> ResponseEvent | None:
        """Return the next event; None when more must come first, or after `End`.

        Raises `UpstreamError` (502) for what cannot be read and for an end that comes too early.
        """
        state = self._state
        if state == _ENDING:
            self._state = _DONE
            return _END
        if state == _DONE:
            return None
        event = self._read_head() if state == _HEAD else self._read_body(state)
        if event is None and self._closed and self._state not in (_ENDING, _DONE):
            raise UpstreamError(502, "the upstream closed the connection before its answer was complete")
        return event

    def _read_head(self) -> ResponseEvent | None:
        held, limits = self._held, self._limits
        while True:
            bound = limits.request_line + limits.headers + 6
            end = held.find(b"\r\n\r\n", 0, bound)
            if end < 0:
                if len(held) >= bound:
                    raise UpstreamError(
                        502, f"the head of the upstream's answer has more than {limits.headers} bytes"
                    )
                return None
            raw = bytes(held[: end + 4])
            del held[: end + 4]
            head = _parse_head(raw, self._method, limits)
            if head.status >= 200:
                break
            self._interim += 1
            if head.status == 101 or self._interim > INTERIM:
                raise UpstreamError(502, f"the upstream answered {head.status}, which nobody asked for")
        if not head.has_body or head.content_length == 0:
            self._state = _ENDING
        elif head.content_length is not None:
            self._left, self._state = head.content_length, _COUNTED
        elif any(name == b"transfer-encoding" for name, _ in head.fields):
            self._chunks, self._state = ChunkReader(replace(limits, body=_ENDLESS)), _CHUNKED
        else:
            self._state = _UNTIL_CLOSE
        return head

    def _read_body(self, state: int) -> ResponseEvent | None:
        held = self._held
        if state == _CHUNKED:
            return self._read_chunked()
        if state == _UNTIL_CLOSE and not held and self._closed:
            self._state = _DONE
            return _END
        if not held:
            return None
        if state == _UNTIL_CLOSE:
            data = bytes(held)
        else:
            data = bytes(held[: self._left])
            self._left -= len(data)
            if not self._left:
                self._state = _ENDING
        del held[: len(data)]
        return Data(data)

    def _read_chunked(self) -> ResponseEvent | None:
        assert self._chunks is not None
        try:
            data, used = self._chunks.read(self._held, 0)
        except RequestError as error:
            raise UpstreamError(502, f"the upstream's answer cannot be read: {error.message}") from error
        del self._held[:used]
        if self._chunks.finished:
            self._state = _ENDING
            if not data:
                return self.next_event()
        return Data(data) if data else None


def _parse_head(raw: bytes, method: str, limits: Limits) -> ResponseHead:
    line_end = raw.find(b"\r\n")
    match = _STATUS_LINE.match(raw)
    if match is None:
        raise UpstreamError(502, "the upstream's answer does not begin with an HTTP/1.1 status line")
    lines = raw.count(b"\n")
    if len(raw) - line_end - 4 > limits.headers or lines - 2 > limits.header_count:
        raise UpstreamError(
            502,
            f"the upstream's answer has more than {limits.headers} bytes or {limits.header_count} fields "
            "of headers",
        )
    # RFC 9112 section 5.2: a line that goes on in the next one is obsolete, and read in two ways.
    if raw.translate(None, _TEXT) != b"\r\n" * lines or b"\r\n " in raw or b"\r\n\t" in raw:
        raise UpstreamError(502, "the head of the upstream's answer holds a control character or a fold")
    minor, status = match[1], int(match[2])
    collector = _Collector()
    try:
        httptools.HttpResponseParser(collector).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # how httptools says 101
    except httptools.HttpParserError as error:
        raise UpstreamError(502, f"the upstream's answer cannot be read: {error}") from None
    codings = [value for name, value in collector.fields if name == b"transfer-encoding"]
    lengths = [value for name, value in collector.fields if name == b"content-length"]
    # RFC 9112 section 6.3: such an answer "might indicate an attempt to perform ... response splitting".
    if codings and (lengths or minor == b"0" or [value.lower() for value in codings] != [b"chunked"]):
        raise UpstreamError(502, "the upstream's answer has a Transfer-Encoding that is not `chunked` alone")
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        raise UpstreamError(502, "the upstream's answer has a Content-Length that is not one number")
    bodiless = method == "HEAD" or status < 200 or status in (204, 304)
    length = int(lengths[0]) if lengths else None
    return ResponseHead(status, collector.fields, not bodiless, None if bodiless else length)


class _Collector:
    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip()))


_ENDLESS: Final = 1 << 62
_TEXT: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
