"""What is encoded comes back through a parser written from the WHATWG standard, whole and byte by byte.

CR and CRLF come back as LF; `ValueError` exactly for line breaks and NUL in id and type, and surrogates.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from fuzz.source import Source
from longwave.core.bodies import ChunkReader
from longwave.core.sse import encode_comment, encode_event, sse_wire
from longwave.limits import Limits
from tests.core.whatwg_sse import EventStreamParser, ReceivedEvent, parse_event_stream

__all__ = ["check"]

TEXTS = ("", "\n", "\r", "\r\n", "\ufeff", " a", "data: x\n\n", "\u2028", "a\0b", "\x85", ":", "id: 9\n\n")


@dataclass
class Outgoing:
    """A publication."""

    payload: bytes
    is_text: bool
    topic: str
    position: str | None
    compress: bool | None = None


class Expected:
    """What a client should have."""

    def __init__(self) -> None:
        self.events: list[ReceivedEvent] = []
        self.comments = 0
        self.id = ""
        self.retry: int | None = None

    def add(self, data: str | None, event: str | None, id: str | None, retry: int | None = None) -> None:
        """Add an event that was sent."""
        if id is not None:
            self.id = id
        if retry is not None:
            self.retry = retry
        if data is not None:
            text = data.replace("\r\n", "\n").replace("\r", "\n")
            self.events.append(ReceivedEvent(event or "message", text, self.id))


def check(data: bytes) -> None:
    """Write a stream as the input says, with the encoder and with wires."""
    source = Source(data)
    expected = Expected()
    stream = b""
    while source and len(stream) < 4096:
        if source.byte() % 4 == 3:
            stream += publish(source, expected)
        else:
            stream += send(source, expected)
    compare(parse_event_stream(stream), expected)
    compare(parse_event_stream(stream, 1), expected)


def send(source: Source, expected: Expected) -> bytes:
    """Encode one event, or a comment; return nothing where it is refused as it should be."""
    flags = source.byte()
    text = some_text(source)
    if flags & 31 == 31:
        try:
            encoded = encode_comment(text)
        except ValueError:
            assert not is_unicode(text)
            return b""
        expected.comments += len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        return encoded
    data = None if flags & 3 == 3 else text
    event = some_text(source) if flags & 4 else None
    id = some_text(source) if flags & 8 else None
    retry = source.byte() - 1 if flags & 16 else None
    given = data.encode("utf-8", "surrogatepass") if data is not None and flags & 64 else data
    words = [word for word in (event, id) if word is not None]
    bad = any(set("\r\n\0") & set(word) or not is_unicode(word) for word in words) or retry == -1
    bad = bad or (isinstance(given, str) and not is_unicode(given))
    try:
        encoded = encode_event(given, event, id, retry)
    except ValueError:
        assert bad, "refused for no reason"
        return b""
    assert not bad, "taken though it cannot be sent"
    # Bytes are taken as they are; the client's decoder makes U+FFFD of what is not UTF-8.
    shown = given.decode("utf-8", "replace") if isinstance(given, bytes) else given
    expected.add(shown, event, id, retry)
    return encoded


def publish(source: Source, expected: Expected) -> bytes:
    """Encode one publication by a plain and a chunked wire."""
    flags = source.byte()
    payload = some_text(source).encode("utf-8", "replace")
    outgoing = Outgoing(payload, bool(flags & 1), "t", f"e:{flags}" if flags & 2 else None)
    events = {"t": "tick"} if flags & 4 else None
    if flags & 8:
        plain, chunked = (sse_wire(which, events).frame(payload, outgoing.is_text) for which in (False, True))
    else:
        plain, chunked = (sse_wire(which, events).encode(outgoing) for which in (False, True))
    reader = ChunkReader(Limits())
    assert reader.read(chunked + sse_wire(True).end, 0) == (plain, len(chunked) + 5)
    assert reader.finished
    text = payload.decode() if outgoing.is_text else b64encode(payload).decode()
    event = "tick" if events and not flags & 8 else None
    position = None if flags & 8 else outgoing.position
    expected.add(text, event if outgoing.is_text else "longwave:binary", position)
    return plain


def compare(parser: EventStreamParser, expected: Expected) -> None:
    """Compare what came with what was sent."""
    assert parser.events == expected.events, f"{parser.events} are not {expected.events}"
    assert parser.last_event_id == expected.id
    assert parser.reconnection_time == expected.retry
    assert len(parser.comments) == expected.comments


def some_text(source: Source) -> str:
    """Return a text that is likely to be odd."""
    text = source.pick(TEXTS) if source.byte() & 1 else ""
    return text + source.text()


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogate."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
