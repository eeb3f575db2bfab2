"""The WebSocket codec beyond the conformance table: the short way, laziness, memory, time, random input."""

from __future__ import annotations

import gc
import itertools
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import longwave.core.ws as module
from longwave.core.ws import Close, Event, Ping, Pong, WebSocket
from longwave.errors import ProtocolError
from tests.conformance.ws_model import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    Part,
    cut,
    encode,
    encode_step,
)
from tests.core.growth import LINEAR, growth

MIB = 1024 * 1024


def text(payload: str) -> bytes:
    return encode(Frame(TEXT, payload.encode()))


def binary(payload: bytes) -> bytes:
    return encode(Frame(BINARY, payload))


def everything(websocket: WebSocket, *reads: bytes) -> list[Event]:
    return [event for data in reads for event in websocket.receive(data)]


def code_of(websocket: WebSocket, *reads: bytes) -> int:
    with pytest.raises(ProtocolError) as caught:
        everything(websocket, *reads)
    return caught.value.code


# The short way.


@pytest.mark.parametrize("size", [0, 1, 32, 124, 125, 126, 127, 128, 131, 132, 133, 134, 4096, 65535])
def test_one_whole_message_is_taken_at_once(size: int) -> None:
    websocket = WebSocket()
    assert websocket.receive_one(text("x" * size)) == "x" * size
    assert websocket.receive_one(binary(b"\xff" * size)) == b"\xff" * size
    assert websocket.held == 0


def test_text_is_str_and_binary_is_bytes() -> None:
    websocket = WebSocket()
    assert type(websocket.receive_one(text("é"))) is str
    assert type(websocket.receive_one(binary(b"x"))) is bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        text("x")[:1],
        text("x")[:-1],
        text("x" * 200)[:-1],
        text("x") + b"\x81",
        text("a") + text("b"),
        text("x" * 65536),
        encode(Frame(TEXT, b"x", fin=False)),
        encode(Frame(CONTINUATION, b"x")),
        encode(Frame(PING, b"x")),
        encode(Frame(CLOSE, b"\x03\xe8")),
        encode(Frame(TEXT, b"x", rsv=1)),
        encode(Frame(TEXT, b"x" * 5, masked=False)),
        encode(Frame(TEXT, b"x" * 200, masked=False)),
        *[encode(Frame(opcode, b"x" * size, length_bytes=2)) for size in range(126) for opcode in (1, 2)],
        *[encode(Frame(TEXT, b"x" * size, length_bytes=8)) for size in (5, 126, 127, 65535)],
        *[bytes((0x81, size + 122)) + b"x" * (size - 2) for size in range(2, 6)],
        *[bytes((first,)) + text("x" * 9)[1:] for first in range(256) if first not in (0x81, 0x82)],
        *[bytes((first,)) + text("x" * 200)[1:] for first in range(256) if first not in (0x81, 0x82)],
    ],
    ids=lambda data: f"{len(data)}-{data[:4].hex()}",
)
def test_anything_else_is_left_to_receive(data: bytes) -> None:
    websocket = WebSocket()
    assert websocket.receive_one(data) is None
    assert websocket.held == 0
    assert not websocket.closed


def test_the_short_way_waits_for_what_is_held() -> None:
    websocket = WebSocket()
    whole = text("later")
    for before in (whole[:1], whole[:4], whole[:8], encode(Frame(TEXT, b"", fin=False))):
        websocket = WebSocket()
        assert everything(websocket, before) == []
        assert websocket.receive_one(whole) is None
    websocket = WebSocket()
    assert everything(websocket, whole[:8], whole[8:]) == ["later"]
    assert websocket.receive_one(whole) == "later"
    fragments = (encode(Frame(BINARY, b"a", fin=False)), encode(Frame(CONTINUATION, b"b")))
    assert everything(websocket, *fragments) == [b"ab"]
    assert websocket.receive_one(whole) == "later"


def test_the_short_way_knows_the_limit() -> None:
    for limit in (0, 1, 10, 125, 126, 200):
        websocket = WebSocket(max_message=limit)
        for size in range(limit + 20):
            frame = text("x" * size)
            taken = websocket.receive_one(frame)
            if size > limit:
                assert taken is None
            else:
                assert taken in ("x" * size, None)
                assert taken is not None or size > limit - 14
                if taken is None:
                    assert everything(websocket, frame) == ["x" * size]


@pytest.mark.parametrize("limit", [0, 1, 124, 125, 126, 300, 65535, 65536])
def test_the_limit_holds_for_every_frame_of_a_read(limit: int) -> None:
    fits, more = b"x" * limit, b"x" * (limit + 1)
    for make in (binary, lambda payload: text(payload.decode())):
        assert len(everything(WebSocket(max_message=limit), make(fits) * 3)) == 3
        websocket = WebSocket(max_message=limit)
        events = websocket.receive(make(fits) + make(more))
        next(events)
        with pytest.raises(ProtocolError) as caught:
            next(events)
        assert caught.value.code == 1009


@pytest.mark.parametrize("payload", [b"\xff", b"x" * 300 + b"\xe2\x82"])
def test_the_short_way_refuses_what_is_not_utf8(payload: bytes) -> None:
    websocket = WebSocket()
    with pytest.raises(ProtocolError) as caught:
        websocket.receive_one(encode(Frame(TEXT, payload)))
    assert caught.value.code == 1007
    assert websocket.closed
    assert websocket.receive_one(text("x")) is None
    assert everything(websocket, text("x")) == []


# Laziness.


def test_events_are_worked_out_one_by_one() -> None:
    websocket = WebSocket()
    data = text("one") + binary(b"two") + encode(Frame(PING, b"three")) + b"\x83"
    events = websocket.receive(data + encode(Frame(TEXT))[1:])
    assert [next(events) for _ in range(3)] == ["one", b"two", Ping(b"three")]
    assert websocket.held == len(encode(Frame(TEXT)))
    with pytest.raises(ProtocolError):
        next(events)
    assert websocket.closed
    assert websocket.held == 0


def test_who_stops_goes_on_later() -> None:
    websocket = WebSocket()
    frames = [text("one"), encode(Frame(PONG, b"p")), text("x" * 300), binary(b"y" * 70_000), text("end")]
    total = sum(map(len, frames))
    assert next(websocket.receive(b"".join(frames))) == "one"
    assert websocket.held == total - len(frames[0])
    assert websocket.receive_one(text("not yet")) is None
    assert next(websocket.receive(b"")) == Pong(b"p")
    assert next(websocket.receive(b"")) == "x" * 300
    later = everything(websocket, text("behind"))
    assert later == [b"y" * 70_000, "end", "behind"]
    assert websocket.held == 0
    assert websocket.receive_one(text("now")) == "now"


def test_bytes_count_even_when_nobody_asks_for_events() -> None:
    websocket = WebSocket()
    websocket.receive(text("one"))
    websocket.receive(text("two"))
    assert websocket.held == 2 * len(text("one"))
    assert everything(websocket, b"") == ["one", "two"]


def test_a_stop_after_the_last_event_leaves_nothing() -> None:
    websocket = WebSocket()
    for data, event in ((text("one"), "one"), (encode(Frame(PING)), Ping(b""))):
        assert next(websocket.receive(data)) == event
        assert websocket.held == 0
        assert websocket.receive_one(text("next")) == "next"


def test_stops_between_fragments() -> None:
    websocket = WebSocket()
    ping = encode(Frame(PING))
    parts = cut(TEXT, "aé€𤭢".encode() * 5, 3)
    data = b"".join(encode(part) + ping for part in parts)
    events: list[Event] = []
    data += text("end")
    while True:
        event = next(websocket.receive(data), None)
        if event is None:
            break
        events.append(event)
        data = b""
    messages = [event for event in events if not isinstance(event, Ping)]
    assert messages == ["aé€𤭢" * 5, "end"]
    assert len(events) == len(parts) + 2


def test_a_close_ends_everything() -> None:
    websocket = WebSocket()
    data = encode(Frame(CLOSE, b"\x0f\xa0bye")) + text("x")
    assert everything(websocket, data, text("y")) == [Close(4000, "bye")]
    assert websocket.closed
    assert websocket.held == 0
    assert websocket.receive_one(text("z")) is None


def test_a_close_without_a_code_is_1005() -> None:
    assert everything(WebSocket(), encode(Frame(CLOSE))) == [Close(1005, "")]


def test_held_counts_unfinished_messages() -> None:
    websocket = WebSocket()
    everything(websocket, encode(Frame(BINARY, b"x" * 1000, fin=False)))
    assert websocket.held == 1000
    everything(websocket, encode(Frame(CONTINUATION, b"x" * 1000))[:508])
    assert websocket.held == 1500
    everything(websocket, encode(Frame(TEXT, b"x"))[:0])
    assert websocket.held == 1500


def test_pure_masking_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from websockets.utils import apply_mask

    monkeypatch.setattr(module, "apply_mask", apply_mask)
    websocket = WebSocket()
    payload = bytes(range(256)) * 5
    assert websocket.receive_one(binary(payload)) == payload
    frames = encode_step(cut(BINARY, payload, 77))
    for size in (1, 5, 1000):
        reads = [frames[start : start + size] for start in range(0, len(frames), size)]
        assert everything(websocket, *reads) == [payload]


# Memory and time.


def test_an_idle_websocket_is_small() -> None:
    websocket = WebSocket()
    assert sys.getsizeof(websocket) <= 96
    everything(websocket, text("x")[:3], text("x")[3:], text("é" * 5000))
    held = [getattr(websocket, name) for name in WebSocket.__slots__]
    assert [value for value in held if not isinstance(value, (int, bytes, type(None)))] == []
    assert b"" in held


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, MIB + 1])
def test_a_claimed_length_allocates_nothing(size: int) -> None:
    header = encode(Frame(BINARY, length=size, length_bytes=8))
    websocket = WebSocket()
    tracemalloc.start()
    try:
        assert code_of(websocket, header[:10]) == 1009  # the masking key is not needed to know
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_tiny_reads_of_a_large_frame_hold_its_bytes_and_little_more() -> None:
    frame = Frame(BINARY, b"x" * 100_000)
    pieces = [encode(Part(frame, start, start + 2)) for start in range(0, 2000, 2)]
    websocket = WebSocket()
    everything(websocket, encode(Part(frame, 0, 0)))
    gc.collect()
    tracemalloc.start()
    try:
        everything(websocket, *pieces[1:])
        assert tracemalloc.get_traced_memory()[0] < 2 * websocket.held + 2000
    finally:
        tracemalloc.stop()


def test_a_million_fragments_of_one_octet_stop_at_the_cap() -> None:
    websocket = WebSocket(max_fragments=4096)
    everything(websocket, encode(Frame(TEXT, b"x", fin=False)))
    chunk = encode(Frame(CONTINUATION, b"x", fin=False)) * 1000
    codes: dict[int, int] = {}
    for count in range(1000):
        try:
            everything(websocket, chunk)
        except ProtocolError as error:
            codes[count] = error.code
        assert websocket.held <= 4096
    assert codes == {4: 1008}


def read_in_pieces(opcode: int, size: int) -> Callable[[], None]:
    data = encode(Frame(opcode, b"x" * size))
    reads = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    return lambda: expect_one(opcode, size, reads)


def read_fragments(opcode: int, size: int) -> Callable[[], None]:
    middle = encode(Frame(CONTINUATION, b"x" * 64, fin=False)) * (size // 64 - 2)
    data = encode(Frame(opcode, b"x" * 64, fin=False)) + middle + encode(Frame(CONTINUATION, b"x" * 64))
    reads = [data[start : start + 65536] for start in range(0, len(data), 65536)]
    return lambda: expect_one(opcode, size, reads)


def read_without_handing_out(opcode: int, size: int) -> Callable[[], None]:
    frame = encode(Frame(opcode, b"x" * 1000))
    reads = [frame * 4] * (size // 4000)

    def run() -> None:
        websocket = WebSocket()
        count = sum(next(websocket.receive(data), None) is not None for data in reads)
        count += len(everything(websocket, b""))
        assert count == 4 * len(reads)

    return run


def expect_one(opcode: int, size: int, reads: list[bytes]) -> None:
    websocket = WebSocket(max_message=size, max_fragments=size)
    (event,) = everything(websocket, *reads)
    assert isinstance(event, str if opcode == TEXT else bytes)
    assert len(event) == size


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("make", [read_in_pieces, read_fragments, read_without_handing_out])
def test_time_is_linear(make: Callable[[int, int], Callable[[], None]], opcode: int) -> None:
    # Beyond 2 MiB it is the caches that are measured. The reads are small: what each of them copies shows.
    assert growth(lambda size: make(opcode, size), lambda read: read(), MIB // 4) < LINEAR


# Random input.

MESSAGES = st.lists(
    st.one_of(
        st.tuples(st.just(TEXT), st.text(max_size=300).map(str.encode)),
        st.tuples(st.just(BINARY), st.binary(max_size=300)),
        st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
        st.tuples(st.sampled_from([TEXT, BINARY]), st.sampled_from([125, 126, 65535, 65536]).map(bytes)),
    ),
    max_size=8,
)


def event_of(opcode: int, payload: bytes) -> Event:
    if opcode == TEXT:
        return payload.decode()
    if opcode == BINARY:
        return payload
    return Ping(payload) if opcode == PING else Pong(payload)


def pieces_of(data: bytes, edges: set[int]) -> Iterator[bytes]:
    """Cut bytes at the given places, those beyond the end apart."""
    places = [0, *sorted(edge for edge in edges if 0 < edge < len(data)), len(data)]
    return (data[begin:end] for begin, end in itertools.pairwise(places))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_messages_come_back_as_they_were_sent(data: st.DataObject) -> None:
    wanted: list[Event] = []
    wire = b""
    for opcode, payload in data.draw(MESSAGES):
        mask = data.draw(st.binary(min_size=4, max_size=4))
        size = data.draw(st.integers(1, 400)) if opcode < CLOSE else 125
        if len(payload) > 1000 or data.draw(st.booleans()):
            size = max(1, len(payload))
        for frame in cut(opcode, payload, size) or (Frame(opcode),):
            wire += encode(frame, mask)
            if not frame.fin and data.draw(st.booleans()):
                wire += encode(Frame(PING, b"between"), mask)
                wanted.append(Ping(b"between"))
        wanted.append(event_of(opcode, payload))
    edges = data.draw(st.sets(st.integers(0, len(wire)), max_size=12))
    stops = data.draw(st.sets(st.integers(0, 20)))
    websocket = WebSocket()
    got: list[Event] = []
    for piece in pieces_of(wire, edges):
        one = websocket.receive_one(piece)
        if one is not None:
            got.append(one)
            continue
        for event in websocket.receive(piece):
            got.append(event)
            if len(got) in stops:
                break  # as a server does whose turn is over
    got += everything(websocket, b"")
    assert got == wanted
    assert websocket.held == 0


def can_be_utf8(data: bytes) -> bool:
    """Whether bytes are the beginning of valid UTF-8: whether some ending makes them so."""
    for octet in (b"\x80", b"\xbf"):
        for count in range(4):
            try:
                (data + octet * count).decode()
            except UnicodeDecodeError:
                continue
            return True
    return False


NEAR_UTF8 = st.lists(
    st.one_of(
        st.text(max_size=3).map(str.encode),
        st.sampled_from("é€𤭢\ud7ff\ue000\U0010ffff")
        .map(str.encode)
        .flatmap(lambda whole: st.integers(0, len(whole)).map(lambda size: whole[:size])),
        st.sampled_from(
            [b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf"]
        ),
        st.binary(max_size=2),
    ),
    max_size=8,
).map(b"".join)


@given(NEAR_UTF8, st.integers(1, 9), st.sets(st.integers(0, 200), max_size=20))
@settings(max_examples=500, deadline=None)
def test_text_fails_with_the_first_impossible_octet(payload: bytes, size: int, edges: set[int]) -> None:
    frames = cut(TEXT, payload, size) or (Frame(TEXT),)
    # How much of the payload is there, with every octet on the wire.
    there = [
        count
        for frame in frames
        for count in [0] * (len(encode(frame)) - len(frame.payload)) + [1] * len(frame.payload)
    ]
    wire = encode_step(frames)
    websocket = WebSocket()
    position = 0
    for piece in pieces_of(wire, edges):
        position += len(piece)
        came = payload[: sum(there[:position])]
        if can_be_utf8(came) and (position < len(wire) or is_utf8(came)):
            wanted = [payload.decode()] if position == len(wire) else []
            assert everything(websocket, piece) == wanted
        else:
            assert code_of(websocket, piece) == 1007
            return


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
