"""The hub with compressing wires: one compression for all who agreed on the same."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

import longwave.core.deflate as module
from longwave.core.deflate import deflate_wire, takeover_wire
from longwave.core.frames import WS
from longwave.hub.drivers import Envelope
from longwave.hub.hub import Hub
from longwave.hub.outgoing import Channel
from longwave.types import Piece, Wire
from tests.hub.fakes import Turns

TEXT = b"over and over again " * 40


class Receiver:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.channels: tuple[Channel, ...] = ()
        self.pieces: list[Piece] = []

    def deliver(self, piece: Piece) -> None:
        self.pieces.append(piece)


def test_a_publication_is_compressed_once_for_each_window(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = module._compressor

    def counted(bits: int) -> Any:
        made.append(bits)
        return make(bits)

    monkeypatch.setattr(module, "_compressor", counted)
    turns = Turns()
    hub = Hub(turns.schedule, lambda error, stage: pytest.fail(f"{stage}: {error!r}"))
    wires: list[Wire] = [deflate_wire(12, 256)] * 50 + [deflate_wire(9, 256)] * 50 + [WS] * 50
    receivers = [Receiver(wire) for wire in [*wires, *[takeover_wire(256)] * 50]]
    for receiver in receivers:
        hub.subscribe(receiver, "room")
    hub.publish("room", TEXT, True)
    hub.publish("room", b"small", True)
    hub.publish("room", TEXT, True, None, None, False)
    turns.run()
    assert sorted(made) == [9, 12]
    pieces = [receiver.pieces[0] for receiver in receivers]
    for kind in range(4):
        assert len({id(piece) for piece in pieces[kind * 50 : kind * 50 + 50]}) == 1
    small, plain = WS.frame(b"small", True), WS.frame(TEXT, True)
    assert pieces[100] == plain + small + plain
    assert pieces[0].endswith(small + plain) and pieces[0][0] == 0xC1
    size = pieces[0][1]
    assert zlib.decompressobj(-12).decompress(pieces[0][2 : 2 + size] + b"\0\0\xff\xff") == TEXT


def test_compress_comes_through_a_backplane() -> None:
    turns = Turns()
    hub = Hub(turns.schedule, lambda error, stage: pytest.fail(f"{stage}: {error!r}"))
    receiver = Receiver(deflate_wire(12, 0))
    hub.subscribe(receiver, "room")
    hub.received(Envelope("other", "room", TEXT, True, compress=False))
    turns.run()
    hub.received(Envelope("other", "room", TEXT, True))
    turns.run()
    hub.received(Envelope("other", "room", TEXT, True, compress=3))  # type: ignore[arg-type]
    turns.run()
    assert [piece[0] for piece in receiver.pieces] == [0x81, 0xC1]
    assert hub.malformed == 1
