from __future__ import annotations

import base64
import gc
import random
from dataclasses import dataclass

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core.sse import (
    _NAMED,
    BODY,
    BODY_CHUNKED,
    BodyWire,
    SseWire,
    encode_comment,
    encode_event,
    encode_refusal,
    sse_wire,
    wants_events,
)
from longwave.types import Wire
from tests.core.whatwg_sse import ReceivedEvent, parse_event_stream

ALPHABET = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\u2028",
    "\u2029",
    "\x85",
    "\v",
    "\f",
    "\x1c",
    "\ufeff",
    " ",
    ":",
    "\t",
]
ALPHABET += [
    "data",
    "data: ",
    "id: 1\n",
    "event:",
    "a",
    "é",
    "語",
    "😀",
    "\n\n",
    "\r\r",
    "0",
    "\ud7ff",
    "\x7f",
]

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


@dataclass
class Published:
    payload: bytes
    is_text: bool = True
    topic: str = "room"
    position: str | None = None
    compress: bool | None = None


@dataclass
class Sent:
    data: str | None
    event: str | None
    id: str | None
    retry: int | None

    def encode(self) -> bytes:
        return encode_event(self.data, self.event, self.id, self.retry)


def as_lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def generated(seed: int, count: int, *, with_data: bool = False) -> list[Sent]:
    chance = random.Random(seed)

    def text(most: int) -> str:
        return "".join(chance.choices(ALPHABET, k=chance.randrange(most)))

    def name() -> str:
        return "".join(c for c in text(5) if c not in "\r\n\0")

    return [
        Sent(
            None if not with_data and chance.random() < 0.05 else text(12),
            name() if chance.random() < 0.4 else None,
            name() if chance.random() < 0.4 else None,
            chance.randrange(10**6) if chance.random() < 0.2 else None,
        )
        for _ in range(count)
    ]


def expected(sent: list[Sent]) -> list[ReceivedEvent]:
    events = []
    last_id = ""
    for one in sent:
        if one.id is not None:
            last_id = one.id
        if one.data is not None:
            events.append(ReceivedEvent(one.event or "message", as_lf(one.data), last_id))
    return events


def unchunked(body: bytes) -> bytes:
    """Read HTTP/1.1 chunks, written here from RFC 9112 section 7.1."""
    data = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        assert length > 0, "the last chunk in the middle"
        assert rest[length : length + 2] == b"\r\n"
        data += rest[:length]
        body = rest[length + 2 :]
    return data


@pytest.mark.parametrize("step", [0, 1], ids=["whole", "byte by byte"])
def test_ten_thousand_generated_events_come_back(step: int) -> None:
    sent = generated(10, 10_000)
    parser = parse_event_stream(b"".join(one.encode() for one in sent), step)
    assert parser.events == expected(sent)
    assert parser.reconnection_time == [one.retry for one in sent if one.retry is not None][-1]


def test_ten_thousand_generated_events_come_back_in_httpx_sse() -> None:
    # It dispatches events without data, which the standard does not: those are left out here.
    sent = generated(11, 10_000, with_data=True)
    body = b"".join(one.encode() for one in sent)
    response = httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=body)
    received = list(EventSource(response).iter_sse())
    assert [ReceivedEvent(one.event, one.data, one.id) for one in received] == expected(sent)
    assert [one.retry for one in received] == [one.retry for one in sent]


@settings(max_examples=300, deadline=None)
@given(TEXT, st.none() | NAME, st.none() | NAME, st.none() | st.integers(0), st.sampled_from([0, 1, 2, 3]))
def test_any_event_is_one_event(
    data: str, event: str | None, id: str | None, retry: int | None, step: int
) -> None:
    sent = Sent(data, event, id, retry)
    parser = parse_event_stream(encode_event("before") + sent.encode() + encode_event("after", id=""), step)
    assert parser.events == [
        ReceivedEvent("message", "before", ""),
        *expected([sent]),
        ReceivedEvent("message", "after", ""),
    ]
    assert parser.reconnection_time == retry
    assert parser.comments == []


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_a_comment_is_no_event(text: str) -> None:
    parser = parse_event_stream(encode_comment(text) + encode_event("after"))
    assert parser.events == [ReceivedEvent("message", "after", "")]
    assert parser.comments == [" " + line for line in as_lf(text).split("\n")]


@pytest.mark.parametrize(
    ("arguments", "encoded"),
    [
        (("hello",), b"data: hello\n\n"),
        (("x", "custom", "1", 3000), b"id: 1\nevent: custom\nretry: 3000\ndata: x\n\n"),
        (("a\r\nb\rc",), b"data: a\ndata: b\ndata: c\n\n"),
        (("x\n\nevent: evil",), b"data: x\ndata: \ndata: event: evil\n\n"),
        (("a\n",), b"data: a\ndata: \n\n"),
        (("",), b"data: \n\n"),
        ((None, None, "7"), b"id: 7\n\n"),
        ((None, None, None, 0), b"retry: 0\n\n"),
        (("x", None, ""), b"id: \ndata: x\n\n"),
        ((b"caf\xc3\xa9\r\n",), b"data: caf\xc3\xa9\ndata: \n\n"),
        (("a\u2028b\x85c",), "data: a\u2028b\x85c\n\n".encode()),
    ],
)
def test_event_bytes(arguments: tuple[str], encoded: bytes) -> None:
    assert encode_event(*arguments) == encoded


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("a\nb", b": a\n: b\n\n"), ("a\rdata: x", b": a\n: data: x\n\n"), ("", b": \n\n")],
)
def test_comment_bytes(text: str, encoded: bytes) -> None:
    assert encode_comment(text) == encoded


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "x\ndata: evil"},
        {"event": "x\r"},
        {"event": "x\0"},
        {"event": "\udc80"},
        {"id": "1\n"},
        {"id": "1\rdata: evil"},
        {"id": "\0"},
        {"id": "\ud800"},
        {"data": "a\udfffb"},
        {"retry": -1},
        {"retry": 1.5},
        {"retry": "10"},
        {"retry": "1\ndata: evil"},
        {"retry": True},
    ],
)
def test_what_cannot_be_sent_is_a_value_error(wrong: dict[str, object]) -> None:
    arguments = {"data": "x", **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        encode_event(**arguments)  # type: ignore[arg-type]


def test_a_lone_surrogate_in_a_comment_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        encode_comment("a\ud800")


@pytest.mark.parametrize("wrong", [{"data": {"a": 1}}, {"data": bytearray(b"x")}, {"id": 7}, {"event": b"x"}])
def test_other_types_are_a_type_error(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        encode_event(**{"data": "x", **wrong})  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    TEXT.map(str.encode) | st.binary(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.just("7:42"),
)
def test_a_publication_is_one_event_on_every_wire(
    payload: bytes, is_text: bool, chunked: bool, named: bool, position: str | None
) -> None:
    if is_text:
        payload = payload.decode("utf-8", "replace").encode()
    wire = sse_wire(chunked, {"room": "said", "hall": "other"} if named else None)
    piece = wire.encode(Published(payload, is_text, position=position))
    assert isinstance(piece, bytes)
    body = unchunked(piece) if chunked else piece
    data = as_lf(payload.decode()) if is_text else base64.b64encode(payload).decode()
    kind = "longwave:binary" if not is_text else "said" if named else "message"
    assert parse_event_stream(body).events == [ReceivedEvent(kind, data, position or "")]
    assert wire.size(piece) == len(piece)

    # To one receiver alone: without topic and position.
    alone = wire.frame(payload, is_text)
    body = unchunked(alone) if chunked else alone
    kind = "message" if is_text else "longwave:binary"
    assert parse_event_stream(body).events == [ReceivedEvent(kind, data, "")]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 247, 248, 4088, 65_535, 70_000])
def test_chunk_sizes(size: int) -> None:
    payload = b"x" * size
    assert sse_wire(True).encode(Published(payload)) == b"%x\r\ndata: %b\n\n\r\n" % (size + 8, payload)
    assert sse_wire(False).encode(Published(payload)) == b"data: %b\n\n" % payload
    assert sse_wire(True).frame(payload, True) == sse_wire(True).encode(Published(payload))


def test_pieces_join_into_one_body() -> None:
    wire = sse_wire(True)
    pieces = [wire.encode(Published(b"a")), wire.raw(encode_comment("b")), wire.frame(b"c", True)]
    joined = wire.join(pieces)
    assert unchunked(joined) == b"data: a\n\n: b\n\ndata: c\n\n"
    assert wire.end == b"0\r\n\r\n"
    assert sse_wire(False).end == b""
    assert sse_wire(False).raw(b": b\n\n") == b": b\n\n"


@pytest.mark.parametrize("wire", [sse_wire(True), BODY_CHUNKED])
def test_nothing_does_not_end_a_chunked_body(wire: SseWire | BodyWire) -> None:
    assert wire.raw(b"") == b""


def test_a_body_passes_bytes() -> None:
    assert BODY.frame(b"a\nb", True) == BODY.encode(Published(b"a\nb")) == b"a\nb"
    assert BODY_CHUNKED.frame(b"a\r\nb" * 8, False) == b"20\r\n" + b"a\r\nb" * 8 + b"\r\n"
    assert BODY_CHUNKED.frame(b"", True) == b""
    assert BODY_CHUNKED.end == b"0\r\n\r\n"
    assert BODY.end == b""
    assert BODY.join([b"a", b"b"]) == b"ab"
    assert BODY.size(b"abc") == 3


def test_equal_wires_are_one_object() -> None:
    assert sse_wire(True) is sse_wire(True, {}) is sse_wire(True, None) is sse_wire(True, {"room": ""})
    assert sse_wire(True) is not sse_wire(False)
    one = sse_wire(False, {"a": "x", "b": "y"})
    assert sse_wire(False, {"b": "y", "a": "x"}) is one
    assert sse_wire(True, {"a": "x", "b": "y"}) is not one
    assert sse_wire(False, {"a": "x"}) is not one


def test_wires_with_names_are_not_kept_for_ever() -> None:
    before = len(_NAMED)
    for number in range(100):
        sse_wire(True, {"room": f"name {number}"})
    gc.collect()
    assert len(_NAMED) == before


def test_a_wire_does_not_change_with_the_mapping_it_was_made_of() -> None:
    events = {"room": "said"}
    wire = sse_wire(False, events)
    events["room"] = "other"
    assert wire.encode(Published(b"x")) == b"event: said\ndata: x\n\n"
    assert wire.encode(Published(b"x", topic="hall")) == b"data: x\n\n"


@pytest.mark.parametrize("name", ["a\nb", "a\r", "\0", "\ud800"])
def test_a_wire_refuses_a_name_that_cannot_be_sent(name: str) -> None:
    with pytest.raises(ValueError, match="event"):
        sse_wire(True, {"room": name})


def test_wires_are_wires() -> None:
    wires: list[Wire] = [sse_wire(True), BODY, BODY_CHUNKED]
    assert [type(wire).__name__ for wire in wires] == ["SseWire", "BodyWire", "BodyWire"]


# The parser of these tests has to be right itself: streams of the web platform tests (eventsource/format-*).
@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("stream", "events"),
    [
        ("\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n", ["1", "3"]),
        ("\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"]),
        ("data: 1\r\ndata\ndata\rdata:\n:\n\n", ["1\n\n\n"]),
        ("data:\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"]),
        ("data:test\r\ndata\ndata:test\r\n\r\n", ["test\n\ntest"]),
        ("data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"]),
        ("data:1\0\n\n", ["1\0"]),
        ("retry:1000\nretry:1x\ndata:x\n\n", ["x"]),
        ("data: end\n", []),
        ("event\ndata:x\n\nevent: a\n\ndata:y\n\n", ["x", "y"]),
    ],
)
def test_the_parser_follows_the_standard(stream: str, events: list[str], step: int) -> None:
    parser = parse_event_stream(stream.encode(), step)
    assert [event.data for event in parser.events] == events
    assert {event.type for event in parser.events} <= {"message"}


@pytest.mark.parametrize("step", [0, 1])
def test_the_parser_keeps_ids_as_the_standard_says(step: int) -> None:
    parser = parse_event_stream(b"id: 1\ndata:a\n\ndata:b\n\nid\ndata:c\n\nid:4\n\nid:5\0\ndata:d\n\n", step)
    assert [(event.data, event.last_event_id) for event in parser.events] == [
        ("a", "1"),
        ("b", "1"),
        ("c", ""),
        ("d", "4"),
    ]


def test_a_refusal_that_eventsource_comes_back_from() -> None:
    assert encode_refusal(2500) == (
        [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")],
        b"retry: 2500\n\n",
    )


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ([b"text/event-stream"], True),
        ([b"text/html", b"*/*, Text/Event-Stream;q=0.9"], True),
        ([b"text/html,*/*"], False),
        ([], False),
    ],
)
def test_who_wants_events(accept: list[bytes], wanted: bool) -> None:
    assert wants_events([(b"x", b"text/event-stream"), *((b"accept", value) for value in accept)]) is wanted
