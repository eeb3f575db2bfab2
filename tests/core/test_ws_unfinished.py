"""Messages that come in pieces of all sizes: what is held of them, and that no byte of them is lost."""

from __future__ import annotations

import itertools
import random
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longwave.core.inflate import STEP, InflatingWebSocket
from longwave.core.ws import LARGE, Event, Unfinished, WebSocket
from longwave.errors import ProtocolError
from tests.conformance.ws_model import BINARY, TEXT, Frame, cut, encode
from tests.core.test_ws import can_be_utf8
from tests.server.harness import frame

SIZES = (1, 2, 3, 7, 100, 4095, 4096, 4097, 32_767, 32_768, 70_000)
CHARACTERS = "a\N{LATIN SMALL LETTER E WITH ACUTE}\N{EURO SIGN}\N{GRINNING FACE}"


def pieces(data: bytes, chance: random.Random) -> list[bytes]:
    found = []
    while data:
        size = chance.choice(SIZES)
        found.append(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("seed", range(30))
def test_pieces_of_all_sizes(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choice(CHARACTERS) for _ in range(chance.randrange(100_000)))
    payload = text.encode()
    frames = pieces(payload, chance) or [b""]
    wire = b"".join(
        frame(part, 0 if number else 1 + seed % 2, final=number == len(frames) - 1)
        for number, part in enumerate(frames)
    )
    ws = WebSocket()
    events: list[Event] = []
    for part in pieces(wire, chance):
        events += ws.receive(part)
        if not events:
            # Headers that are read are not held any more.
            assert ws.held <= len(payload) + 14
    assert events == [text if seed % 2 == 0 else payload]
    assert ws.held == 0
    # It begins anew.
    assert list(ws.receive(frame(b"again"))) == ["again"]


def test_what_is_held_is_what_came() -> None:
    ws = WebSocket()
    held = 0
    for size in (5, 4096, 10, 60_000, 1, 4095, 40_000):
        assert list(ws.receive(frame(b"x" * size, 0 if held else 2, final=False))) == []
        held += size
        assert ws.held == held


@pytest.mark.parametrize("before", SIZES)
def test_a_wrong_byte_is_found_at_once(before: int) -> None:
    """Also where the character was begun in the piece before."""
    ws = WebSocket()
    text = (b"a" * before)[:-1] + b"\xe2"
    assert list(ws.receive(frame(text, final=False))) == []
    assert list(ws.receive(frame(b"\x82", 0, final=False))) == []
    with pytest.raises(ProtocolError) as caught:
        list(ws.receive(frame(b"a" * 5000, 0, final=False)))
    assert caught.value.code == 1007
    assert ws.held == 0


def test_several_frames_are_told_apart_from_one() -> None:
    ws = WebSocket()
    assert list(ws.receive(frame(b"one") * 3)) == ["one"] * 3
    assert not ws.was_fragmented
    assert list(ws.receive(frame(b"o", final=False) + frame(b"ne", 0))) == ["one"]
    assert ws.was_fragmented


# What is kept, and how.

GATHERED = 8 * LARGE


def kept(message: Unfinished) -> list[bytes]:
    """Return the parts of a message, as it keeps them."""
    return [bytes(part) for part in (*message._parts, message._tail)]


@given(
    st.lists(
        st.one_of(
            st.integers(0, 40),
            st.sampled_from([LARGE - 1, LARGE, LARGE + 1, GATHERED - 1, GATHERED, GATHERED + 1]),
            st.integers(0, 3 * LARGE),
        ),
        max_size=24,
    )
)
@settings(max_examples=300, deadline=None)
def test_large_parts_stay_and_small_ones_are_gathered(sizes: list[int]) -> None:
    message = Unfinished(is_text=False)
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    for number, piece in enumerate(pieces):
        assert message.extend(piece)
        assert message.size == sum(sizes[: number + 1])
        assert message.data == b"".join(pieces[: number + 1])
        # So that a message costs little more than its bytes: small ones never wait alone.
        assert len(message._tail) < GATHERED
    assert b"".join(kept(message)) == message.data == b"".join(pieces)
    large = [piece for piece in pieces if len(piece) >= LARGE]
    same = [part for part in message._parts if any(part is piece for piece in large)]
    assert len(same) == len(large), "a large part was copied"
    assert [id(part) for part in same] == [id(piece) for piece in large]
    others = [part for part in message._parts if not any(part is piece for piece in large)]
    # What was gathered is closed when it is long enough or a large part follows, and never empty.
    assert all(0 < len(part) < GATHERED + LARGE for part in others)
    assert sum(len(part) < GATHERED for part in others) <= len(large)


def test_how_parts_are_kept() -> None:
    """Each rule by itself, to the byte."""
    for sizes, expected in (
        ([LARGE], [LARGE, 0]),
        ([LARGE - 1], [LARGE - 1]),
        ([LARGE - 1] * 8, [8 * (LARGE - 1)]),
        ([LARGE - 1] * 8 + [8], [GATHERED, 0]),
        ([LARGE - 1] * 8 + [7], [GATHERED - 1]),
        ([LARGE - 1] * 9, [9 * (LARGE - 1), 0]),
        ([1, LARGE], [1, LARGE, 0]),
        ([LARGE, 1, 1, LARGE, 1], [LARGE, 2, LARGE, 1]),
        ([1, 0, LARGE], [1, LARGE, 0]),
    ):
        message = Unfinished(is_text=False)
        assert all(message.extend(bytes(size)) for size in sizes)
        assert [len(part) for part in kept(message)] == expected
        assert message.size == sum(sizes) == len(message.data)


def test_a_million_small_parts_are_no_million_objects() -> None:
    message = Unfinished(is_text=True)
    for _ in range(200_000):
        assert message.extend(b"ab")
    assert len(message._parts) == 400_000 // GATHERED
    assert message.data == b"ab" * 200_000


CHARACTER = "\N{GRINNING FACE}".encode()
SPLITS = [split for count in range(1, 5) for split in itertools.combinations(range(1, 4), count - 1)]


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("before", [0, 1, LARGE - 1, LARGE, GATHERED - 1])
@pytest.mark.parametrize("behind", [0, 1, LARGE])
def test_a_character_over_several_parts(split: tuple[int, ...], before: int, behind: int) -> None:
    edges = [0, *split, len(CHARACTER)]
    parts = [CHARACTER[begin:end] for begin, end in itertools.pairwise(edges)]
    parts[0] = b"a" * before + parts[0]
    parts[-1] += b"b" * behind
    message = Unfinished(is_text=True)
    assert all(map(message.extend, parts))
    assert message.data.decode() == "a" * before + CHARACTER.decode() + "b" * behind
    # And each of its bytes, if it were another one, is found out with the part that it is in.
    for at in range(1, len(CHARACTER)):
        broken = bytearray(b"".join(parts))
        broken[before + at] = 0x41
        message, position = Unfinished(is_text=True), 0
        for part in parts:
            good = message.extend(bytes(broken[position : position + len(part)]))
            position += len(part)
            assert good == (position <= before + at)
            if not good:
                break
        assert not good


@example(b"\xed\xa0\x80", {6, 7}, 0)
@example(b"\xed\xa0\x80", {7}, LARGE)
@given(st.binary(max_size=12), st.sets(st.integers(0, 12)), st.sampled_from([0, LARGE - 2, LARGE]))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_found_out_with_their_part(tail: bytes, cuts: set[int], before: int) -> None:
    whole = b"a" * before + "é€".encode() + tail
    edges = sorted({0, len(whole), *(min(len(whole), before + cut) for cut in cuts)})
    message = Unfinished(is_text=True)
    for begin, end in itertools.pairwise(edges):
        good = message.extend(whole[begin:end])
        assert good == can_be_utf8(whole[before:end])
        if not good:
            break
        assert message.size == end


# The same with compression, where parts come out of the inflater.


@pytest.mark.parametrize("seed", range(12))
def test_compressed_messages_of_all_sizes(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.choice((0, 1, 300, LARGE, STEP - 1, STEP, STEP + 1, 3 * STEP + 7))
    text = "".join(chance.choices(CHARACTERS, k=size))
    payload = text.encode()
    packer = zlib.compressobj(chance.randrange(10), zlib.DEFLATED, -15)
    ends = chance.randrange(3)
    packed = b""
    for part in pieces(payload, chance) or [b""]:
        packed += packer.compress(part)
        if ends and chance.random() < 0.2:
            # A final block; what follows may refer to what stands before it.
            packed += packer.flush(zlib.Z_FINISH)
            ends -= 1
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed += packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    opcode = TEXT if seed % 2 else BINARY
    wire = b""
    for number, each in enumerate(cut(opcode, packed, chance.choice((100, 4096, 70_000)))):
        wire += encode(Frame(each.opcode, each.payload, each.fin, 0 if number else 4))
    ws = InflatingWebSocket(4 * 4 * STEP, 1 << 20, 15, takeover=False)
    events: list[Event] = []
    for part in pieces(wire, chance):
        events += ws.receive(part)
        assert ws.held <= len(payload) + 14
    assert events == [text if seed % 2 else payload]
    assert ws.held == 0


def test_what_follows_a_final_block_refers_to_parts_of_all_kinds() -> None:
    """The window is put together of large parts and of small ones that were gathered."""
    first = random.Random(1).randbytes(20_000)
    ended = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [ended.compress(first[:12_000]) + ended.flush(zlib.Z_SYNC_FLUSH)]
    parts += [
        ended.compress(first[at : at + 10]) + ended.flush(zlib.Z_SYNC_FLUSH)
        for at in range(12_000, 20_000, 10)
    ]
    parts.append(ended.flush(zlib.Z_FINISH))
    again = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=first)
    parts.append(again.compress(first) + again.flush(zlib.Z_SYNC_FLUSH))
    assert len(parts[-1]) < 1000, "it does not refer to the first"
    ws = InflatingWebSocket(1 << 20, 4096, 15, takeover=False)
    events: list[Event] = []
    for number, part in enumerate(parts):
        final = number == len(parts) - 1
        data = encode(Frame(0 if number else BINARY, part, final, 0 if number else 4))
        events += ws.receive(data)
        if number == 0:
            assert ws.held == 12_000
    assert events == [first * 2]
