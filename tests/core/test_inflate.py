"""permessage-deflate (RFC 7692): messages that came compressed, and what breaks its rules or limits."""

from __future__ import annotations

import itertools
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core.inflate import MAX_ENDS
from longwave.core.ws import Close, Ping, WebSocket
from longwave.errors import ProtocolError
from tests.conformance.ws_model import BINARY, CLOSE, CONTINUATION, PING, TEXT, Frame, encode
from tests.core.compressed import MIB, bomb, code_of, compressed, everything, in_frames, reader, squeeze
from tests.core.growth import quickest


@pytest.mark.parametrize("step", [1, 2, 3, 64, 10_000])
@pytest.mark.parametrize("payload", [b"Hello", b"", b"x" * 70_000, "grüße 😀".encode() * 99], ids=len)
def test_message_in_frames_and_in_parts(payload: bytes, step: int) -> None:
    packed = squeeze(payload)
    data = in_frames(packed, step, TEXT) + compressed(payload, BINARY)
    expected = [payload.decode(), payload]
    assert everything(reader(), data) == expected
    whole = reader()
    assert everything(whole, *(data[at : at + 1] for at in range(len(data)))) == expected
    assert whole.held == 0


def test_control_frames_and_plain_messages_between() -> None:
    packed = squeeze(b"Hello" * 9)
    data = (
        encode(Frame(TEXT, b"plain"))
        + encode(Frame(TEXT, packed[:4], fin=False, rsv=4))
        + encode(Frame(PING, b"!"))
        + encode(Frame(CONTINUATION, packed[4:]))
        + encode(Frame(TEXT, b"pla", fin=False))
        + encode(Frame(CONTINUATION, b"in"))
        + encode(Frame(CLOSE))
    )
    assert everything(reader(), data) == [
        "plain",
        Ping(b"!"),
        "Hello" * 9,
        "plain",
        Close(1005, ""),
    ]


def test_examples_of_the_rfc() -> None:
    """Section 7.2.3."""
    hello = bytes.fromhex("f248cdc9c90700")
    no_compression = bytes.fromhex("000500faff48656c6c6f00")
    final_block = bytes.fromhex("f348cdc9c9070000")
    two_blocks = bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))
    for takeover in (False, True):
        websocket = reader(takeover=takeover)
        for packed in (hello, no_compression, final_block, two_blocks, hello):
            (event,) = websocket.receive(encode(Frame(TEXT, packed, rsv=4)))
            assert event == "Hello"
    websocket = reader(takeover=True)
    second = bytes.fromhex("f200110000")
    both = encode(Frame(TEXT, hello, rsv=4)) + encode(Frame(TEXT, second, rsv=4))
    assert everything(websocket, both) == ["Hello", "Hello"]
    # Without takeover the second refers to nothing.
    assert code_of(reader(), encode(Frame(TEXT, second, rsv=4))) == 1007


def test_empty_messages() -> None:
    for packed in (b"\x00", b"\x02\x00", b""):
        assert everything(reader(), encode(Frame(TEXT, packed, rsv=4))) == [""]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(TEXT, b"\x00", rsv=2),
        Frame(TEXT, b"\x00", rsv=1),
        Frame(TEXT, b"\x00", rsv=5),
        Frame(TEXT, b"\x00", rsv=7),
        Frame(PING, b"", rsv=4),
        Frame(CLOSE, b"", rsv=4),
        Frame(CONTINUATION, b"\x00", rsv=4),
        Frame(3, b"\x00", rsv=4),
    ],
    ids=repr,
)
def test_reserved_bits_where_they_mean_nothing(frame: Frame) -> None:
    assert code_of(reader(), encode(frame)) == 1002


def test_rsv1_on_a_later_frame() -> None:
    packed = squeeze(b"Hello")
    first = encode(Frame(TEXT, packed[:3], fin=False, rsv=4))
    assert code_of(reader(), first, encode(Frame(CONTINUATION, packed[3:], rsv=4))) == 1002


def test_rsv1_where_nothing_was_agreed_on() -> None:
    assert code_of(WebSocket(), compressed(b"Hello")) == 1002


@pytest.mark.parametrize("packed", [b"\xff\xff\xff", b"\x07", b"not deflate at all"], ids=repr)
def test_what_is_no_deflate(packed: bytes) -> None:
    assert code_of(reader(), encode(Frame(BINARY, packed, rsv=4))) == 1007


def test_final_blocks_are_bounded() -> None:
    end = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = end.compress(b"ab") + end.flush(zlib.Z_FINISH)
    data = encode(Frame(BINARY, block * MAX_ENDS + b"\x00", rsv=4))
    assert everything(reader(), data) == [b"ab" * MAX_ENDS]
    data = encode(Frame(BINARY, block * 100_000, rsv=4))
    assert code_of(reader(), data) == 1007
    assert quickest(lambda: code_of(reader(), data), 0.1) < 0.1


def test_bad_utf8_is_found_before_the_message_is_whole() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(b"fine \xff") + packer.flush(zlib.Z_SYNC_FLUSH)
    websocket = reader()
    assert code_of(websocket, encode(Frame(TEXT, head, fin=False, rsv=4))) == 1007
    # And a character that is cut off at the end of the message.
    assert code_of(reader(), compressed("ü".encode()[:1])) == 1007
    assert everything(reader(), compressed(b"\xff", BINARY)) == [b"\xff"]


def test_limit_is_that_of_what_comes_out() -> None:
    for size, fits in ((1000, True), (1001, False)):
        for payload in (b"x" * size, zlib.compress(bytes(range(250)) * 8)[:9].ljust(size, b"z")):
            websocket = reader(1000)
            if fits:
                assert everything(websocket, compressed(payload, BINARY)) == [payload]
            else:
                assert code_of(websocket, compressed(payload, BINARY)) == 1009


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=990, max_size=1010), st.integers(1, 1100))
def test_incompressible_messages_reach_the_limit(payload: bytes, step: int) -> None:
    data = in_frames(squeeze(payload), step)
    if len(payload) <= 1000:
        assert everything(reader(1000), data) == [payload]
    else:
        assert code_of(reader(1000), data) == 1009


def test_header_of_a_compressed_frame_is_judged_at_once() -> None:
    for length in (2 * MIB + 65, 2**62, 2**63, 2**64 - 1):
        header = encode(Frame(BINARY, b"", rsv=4, length=length, length_bytes=8))
        assert code_of(reader(), header) == 1009
    # Empty blocks come to nothing, but not for ever.
    block = b"\x00\x00\x00\xff\xff" * 800
    more = itertools.chain(
        [encode(Frame(BINARY, block, fin=False, rsv=4))],
        itertools.repeat(encode(Frame(CONTINUATION, block, fin=False)), 600),
    )
    assert code_of(reader(), *more) == 1009


def test_fragments_are_bounded() -> None:
    data = in_frames(squeeze(bytes(range(256)) * 4), 1)
    assert code_of(reader(max_fragments=20), data) == 1008


@pytest.mark.parametrize("kind", ["whole", "fragments", "takeover"])
def test_bomb_is_stopped_at_the_limit(kind: str) -> None:
    """Check 17: 1 GiB from 1 MB; here of what Python allots, over real sockets in tests/e2e."""
    packed = bomb()[:-4]
    data = in_frames(packed, 1000 if kind == "fragments" else len(packed))
    assert len(data) > 1_000_000
    takeover = kind == "takeover"
    if takeover:
        data = compressed(b"x" * 1000, BINARY) + data
    reads = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    assert quickest(lambda: code_of(reader(takeover=takeover), *reads), 0.5) < 0.5
    websocket = reader(takeover=takeover)
    tracemalloc.start()
    assert code_of(websocket, *reads) == 1009
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MIB + 4 * MIB
    assert websocket.held == 0


def test_nothing_is_kept_between_messages() -> None:
    plain, inflating = WebSocket(), reader()
    everything(inflating, compressed(b"x" * 1000))
    assert inflating._context is None and inflating._message is None and inflating._held == b""
    assert sys.getsizeof(inflating) <= sys.getsizeof(plain) + 32


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120), st.booleans(), st.integers(0, 3))
def test_any_bytes_end_as_documented(packed: bytes, takeover: bool, cuts: int) -> None:
    websocket = reader(500, takeover=takeover)
    data = in_frames(packed, max(1, len(packed) >> cuts), TEXT)
    code = 0
    try:
        everything(websocket, data)
    except ProtocolError as error:
        code = error.code
    assert code in (0, 1007, 1009)
    assert websocket.closed is (code != 0)
    assert websocket.held <= 500
