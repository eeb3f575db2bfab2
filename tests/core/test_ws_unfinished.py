"""Messages that come in pieces of all sizes: what is held of them, and that no byte of them is lost."""

from __future__ import annotations

import random

import pytest

from longwave.core.ws import Binary, Event, Text, WebSocket
from longwave.errors import ProtocolError
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
    assert events == [Text(text) if seed % 2 == 0 else Binary(payload)]
    assert ws.held == 0
    # It begins anew.
    assert list(ws.receive(frame(b"again"))) == [Text("again")]


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
    assert list(ws.receive(frame(b"one") * 3)) == [Text("one")] * 3
    assert not ws.was_fragmented
    assert list(ws.receive(frame(b"o", final=False) + frame(b"ne", 0))) == [Text("one")]
    assert ws.was_fragmented
