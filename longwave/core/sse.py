"""Server-Sent Events: the bytes of an event stream (WHATWG HTML, section 9.2).

`encode_event` and `encode_comment` make one event or comment. The wires turn publications into pieces of a
response body, framed as HTTP/1.1 chunks where the body is chunked; equal wires are one object, so that the
hub encodes a publication once for all their receivers.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from longwave.core.http1_write import LAST_CHUNK, chunk
from longwave.types import Fields, Publication

__all__ = [
    "BODY",
    "BODY_CHUNKED",
    "STREAM_FIELDS",
    "BodyWire",
    "SseWire",
    "encode_comment",
    "encode_event",
    "encode_refusal",
    "sse_wire",
    "wants_events",
]

LF = 0x0A
CR = 0x0D
BINARY_EVENT = b"event: longwave:binary\n"

STREAM_FIELDS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"private, no-cache, no-store, no-transform, must-revalidate, max-age=0"),
    (b"x-accel-buffering", b"no"),
)
"""Of the head of an event stream; the last keeps nginx from holding it back."""


class _ByteWire:
    """What the wires of response bodies share: pieces are bytes, each of them one chunk if need be."""

    __slots__ = ("chunked", "end")

    def __init__(self, chunked: bool) -> None:
        self.chunked = chunked
        self.end = LAST_CHUNK if chunked else b""

    def raw(self, encoded: bytes) -> bytes:
        """Return the piece of bytes that are encoded already."""
        return chunk(encoded) if self.chunked else encoded

    if TYPE_CHECKING:

        def join(self, pieces: Sequence[bytes]) -> bytes:
            """Return one piece that is the given pieces in order."""

        def size(self, piece: bytes) -> int:
            """Return the length of a piece in bytes."""

    else:
        join = staticmethod(b"".join)
        size = staticmethod(len)


class SseWire(_ByteWire):
    """The `text/event-stream` format of one response body; get one from `sse_wire`.

    A text publication is its payload as data lines; a binary one is base64 in an event `longwave:binary`.
    `chunked` says whether each piece is one HTTP/1.1 chunk (RFC 9112 section 7.1); `events` names the
    event type of topics. `end` is what ends the body in order.
    """

    __slots__ = ("__weakref__", "_lines")

    def __init__(self, chunked: bool, events: Mapping[str, str] | None = None) -> None:
        super().__init__(chunked)
        # None, and not an empty dict: the hot path asks with `is`.
        self._lines: dict[str, bytes] | None = None
        if events:
            self._lines = {topic: _line("event", name) for topic, name in events.items()}

    def encode(self, outgoing: Publication) -> bytes:
        """Return the piece of one publication: position as `id`, event type, data."""
        payload = outgoing.payload
        if (
            # An int is ten times as fast to look for in bytes as a bytes of length one.
            LF not in payload
            and CR not in payload
            and outgoing.is_text
            and self._lines is None
            and outgoing.position is None
        ):
            if self.chunked:
                return b"%x\r\ndata: %b\n\n\r\n" % (len(payload) + 8, payload)
            return b"data: %b\n\n" % payload
        name = b"" if self._lines is None else self._lines.get(outgoing.topic, b"")
        position = outgoing.position
        head = b"" if position is None else _line("id", position)
        return self.raw(head + _message(payload, outgoing.is_text, name))

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> bytes:
        """Return the piece of one message to one receiver, an event without a name."""
        return self.raw(_message(payload, is_text, b""))

    def named(self, events: Mapping[str, str]) -> SseWire:
        """Return the wire of the same kind that gives topics an event type."""
        return sse_wire(self.chunked, events)


class BodyWire(_ByteWire):
    """Bytes as they are, for a body that is no event stream: `BODY`, `BODY_CHUNKED`."""

    __slots__ = ()

    def encode(self, outgoing: Publication) -> bytes:
        """Return the payload of a publication."""
        return self.raw(outgoing.payload)

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> bytes:
        """Return the payload of one message."""
        return self.raw(payload)


BODY = BodyWire(False)
BODY_CHUNKED = BodyWire(True)

_PLAIN = SseWire(False)
_PLAIN_CHUNKED = SseWire(True)
# Weak: a wire with events of its own lives as long as a stream that uses it.
_NAMED: WeakValueDictionary[tuple[bool, tuple[tuple[str, str], ...]], SseWire] = WeakValueDictionary()


def sse_wire(chunked: bool, events: Mapping[str, str] | None = None) -> SseWire:
    """Return the wire of an event stream, the same object for equal arguments.

    `events` gives topics an event type; `""` is the type `message`, as if the topic were not named. Raises
    `ValueError` where an event type cannot be sent.
    """
    named = {topic: name for topic, name in events.items() if name != ""} if events else None
    if not named:
        return _PLAIN_CHUNKED if chunked else _PLAIN
    key = (chunked, tuple(sorted(named.items())))
    wire = _NAMED.get(key)
    if wire is None:
        wire = _NAMED.setdefault(key, SseWire(chunked, named))
    return wire


def encode_event(
    data: str | bytes | None,
    event: str | None = None,
    id: str | None = None,
    retry: int | None = None,
) -> bytes:
    """Return one event: `id`, `event`, `retry`, `data`, blank line.

    `data` is split into lines at CRLF, CR and LF and nowhere else; bytes are taken as UTF-8 already; None
    leaves the data out, so that a client takes over `id` and `retry` and dispatches nothing. `id=""` clears
    the client's last event id. `retry` is in milliseconds.

    Raises `ValueError` for a line break or NUL in `id` or `event`, a lone surrogate anywhere, and a `retry`
    that is not an integer of at least 0; `TypeError` for values of other types.
    """
    head = b""
    if id is not None:
        head = _line("id", id)
    if event is not None:
        head += _line("event", event)
    if retry is not None:
        if not isinstance(retry, int) or isinstance(retry, bool) or retry < 0:
            raise ValueError(f"the retry of an event is a number of milliseconds, 0 or more, not {retry!r}")
        head += b"retry: %d\n" % retry
    if data is None:
        return head + b"\n"
    if isinstance(data, str):
        data = _utf8("data", data)
    elif not isinstance(data, bytes):
        raise TypeError(f"the data of an event is str, bytes or None, not {type(data).__name__}")
    return b"%b%b\n" % (head, _lines(b"data: ", data))


def encode_comment(text: str) -> bytes:
    """Return a comment, which clients ignore: lines after a colon, a blank line.

    Raises `ValueError` for a lone surrogate.
    """
    return _lines(b": ", _utf8("text", text)) + b"\n"


def wants_events(fields: Fields) -> bool:
    """Return whether a request is for an event stream, as those of EventSource are."""
    accepted = b",".join([value for name, value in fields if name == b"accept"])
    return b"text/event-stream" in accepted.lower()


def encode_refusal(retry: int) -> tuple[Fields, bytes]:
    """Return fields and body of a stream (200) that only tells when to come again.

    An EventSource never comes back from a 503 (WHATWG HTML 9.2.3). `retry` is in milliseconds.
    """
    fields = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
    return fields, encode_event(None, retry=retry)


def _message(payload: bytes, is_text: bool, name: bytes) -> bytes:
    if is_text:
        return b"%b%b\n" % (name, _lines(b"data: ", payload))
    return b"%bdata: %b\n\n" % (BINARY_EVENT, b2a_base64(payload, newline=False))


def _lines(prefix: bytes, data: bytes) -> bytes:
    # WHATWG HTML 9.2.5: end-of-line = ( cr lf / cr / lf ). U+2028, U+0085, VT and FF are data, which is why
    # str.splitlines has no place here.
    if CR in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if LF in data:
        data = data.replace(b"\n", b"\n" + prefix)
    return b"%b%b\n" % (prefix, data)


def _line(field: str, value: str) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"the {field} of an event is str, not {type(value).__name__}")
    # WHATWG HTML 9.2.6: an id with NUL is ignored by clients; a line break would begin another field.
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"the {field} of an event cannot hold a line break or NUL: {value!r}")
    return b"%b: %b\n" % (field.encode(), _utf8(field, value))


def _utf8(field: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the {field} of an event cannot hold a lone surrogate ({text[error.start]!r} at {error.start})"
        ) from None
