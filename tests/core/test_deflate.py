"""permessage-deflate (RFC 7692): negotiation and compressing, against `websockets` byte by byte."""

from __future__ import annotations

import contextlib
import itertools
import sys
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from longwave.core.deflate import Deflater, DeflateWire, TakeoverWire, deflate_wire, takeover_wire
from longwave.core.frames import WS
from longwave.errors import RequestError
from longwave.types import Compression
from tests.conformance.ws_model import BINARY, Frame, encode
from tests.core.compressed import BOTH, TAIL, TAKEOVER, Outgoing, answer, ask, reader
from tests.core.growth import quickest


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        ("permessage-deflate", BOTH),
        ("permessage-deflate; server_no_context_takeover", BOTH),
        ("permessage-deflate; client_no_context_takeover", BOTH),
        ("permessage-deflate; server_max_window_bits=10", f"{BOTH}; server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=15", f"{BOTH}; server_max_window_bits=15"),
        ('permessage-deflate; server_max_window_bits="10"', f"{BOTH}; server_max_window_bits=10"),
        ('permessage-deflate ; server_max_window_bits = "1\\0"', f"{BOTH}; server_max_window_bits=10"),
        ("permessage-deflate; client_max_window_bits", BOTH),
        ("permessage-deflate; client_max_window_bits=9", f"{BOTH}; client_max_window_bits=9"),
        ("permessage-deflate; client_max_window_bits=8", f"{BOTH}; client_max_window_bits=8"),
        ("permessage-deflate; client_max_window_bits=15", BOTH),
        ("x-webkit-deflate-frame, permessage-deflate", BOTH),
        (" , ,permessage-deflate, ", BOTH),
        # Declined: unknown, doubled, with a value that is none, or none where there must be one.
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; unknown=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=10", None),
        ("permessage-deflate; server_no_context_takeover=true", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=09", None),
        ("permessage-deflate; server_max_window_bits=0x9", None),
        ("permessage-deflate; server_max_window_bits=+9", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits=016", None),
        ("permessage-deflate; Server_No_Context_Takeover", None),
        ("permessage-bzip2", None),
        ("", None),
        # The first that can be accepted, in the client's order.
        ("permessage-deflate; unknown, permessage-deflate", BOTH),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9",
            f"{BOTH}; server_max_window_bits=9",
        ),
    ],
)
def test_answer_to_an_offer(offer: str, expected: str | None) -> None:
    assert answer(offer) == expected


def test_offers_over_several_lines() -> None:
    assert answer("permessage-deflate; unknown", "permessage-deflate; client_max_window_bits=10") == (
        f"{BOTH}; client_max_window_bits=10"
    )
    assert ask() is None


@pytest.mark.parametrize(
    ("wanted", "offer", "expected"),
    [
        (Compression(), "permessage-deflate", f"{BOTH}; server_max_window_bits=12"),
        (
            Compression(),
            "permessage-deflate; client_max_window_bits",
            f"{BOTH}; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            Compression(),
            "permessage-deflate; server_max_window_bits=11",
            f"{BOTH}; server_max_window_bits=11",
        ),
        (TAKEOVER, "permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        (
            TAKEOVER,
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=12",
        ),
        (
            TAKEOVER,
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
        ),
    ],
)
def test_answer_by_what_is_wanted(wanted: Compression, offer: str, expected: str) -> None:
    assert answer(offer, wanted=wanted) == expected


@pytest.mark.parametrize(
    "header",
    [
        "permessage-deflate;",
        "permessage-deflate; =1",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=(9)",
        'permessage-deflate; server_max_window_bits="9',
        'permessage-deflate; server_max_window_bits="1 0"',
        'permessage-deflate; server_max_window_bits=""',
        "permessage deflate",
        "permessage-deflate; a b",
        "permessage-deflate\x00",
        "(x)",
        '"x"',
        ";",
        "permessage-deflate, ;",
    ],
)
def test_malformed_header_is_a_bad_request(header: str) -> None:
    with pytest.raises(RequestError) as caught:
        ask(header)
    assert caught.value.status == 400


def test_negotiation_takes_linear_time() -> None:
    for header in ("permessage-deflate; a" * 700, "," * 15_000, "x;a=" + '"\\' * 7000, "x" + " ;y" * 5000):

        def negotiate_it(header: str = header) -> None:
            with contextlib.suppress(RequestError):
                ask(header)

        assert quickest(negotiate_it, 0.05) < 0.05


def _parameter_sets() -> Iterable[tuple[Compression, dict[str, Any]]]:
    """Return what a server wants, and what the client of `websockets` offers: Autobahn's seven, and more."""
    for takeover, ours in itertools.product((False, True), (9, 12, 15)):
        wanted = Compression(takeover, takeover, window_bits=ours, client_window_bits=ours)
        yield wanted, {}
        for server, client in itertools.product((False, True), (False, True)):
            yield wanted, {"server_no_context_takeover": server, "client_no_context_takeover": client}
        for bits in range(9, 16):
            yield wanted, {"server_max_window_bits": bits, "client_max_window_bits": bits}
        yield wanted, {"client_max_window_bits": True}


MESSAGES: Sequence[bytes] = (
    b"Hello",
    b"",
    b"x" * 300,
    "ünïcödé \u2028 😀".encode() * 40,
    *(f'[{{"id": {n}, "text": "hello there, number {n}"}}]'.encode() * 12 for n in range(5)),
    bytes(range(256)) * 300,
)


class Both:
    """Our two halves and those of the client of `websockets`, agreed on by the real negotiation."""

    def __init__(self, wanted: Compression, offered: dict[str, Any]) -> None:
        factory = ClientPerMessageDeflateFactory(**offered)
        offer = "; ".join(
            name if value is None else f"{name}={value}" for name, value in factory.get_request_params()
        )
        agreed = ask(f"permessage-deflate; {offer}" if offer else "permessage-deflate", wanted=wanted)
        assert agreed is not None
        said = [part.strip().partition("=") for part in agreed.response.decode().split(";")[1:]]
        # Raises where the answer breaks a rule of RFC 7692.
        self.theirs: PerMessageDeflate = factory.process_response_params(
            [(name, value or None) for name, _, value in said], []
        )
        self.wire: DeflateWire | TakeoverWire = (
            takeover_wire(0) if agreed.server_takeover else deflate_wire(agreed.server_bits, 0)
        )
        self.deflater = Deflater(agreed.server_bits)
        self.reader = reader(bits=agreed.client_bits, takeover=agreed.client_takeover)
        self.agreed = agreed

    def to_them(self, payload: bytes) -> bytes:
        piece = self.wire.frame(payload, False)
        return self.theirs_of(self.deflater.pack(piece))

    def theirs_of(self, data: bytes) -> bytes:
        first, second = data[0], data[1]
        start = {126: 4, 127: 10}.get(second, 2)
        frame = TheirFrame(Opcode(first & 0x0F), data[start:], bool(first & 0x80), bool(first & 0x40))
        return bytes(self.theirs.decode(frame).data)

    def from_them(self, payload: bytes) -> bytes:
        frame = self.theirs.encode(TheirFrame(Opcode.BINARY, payload))
        data = encode(Frame(BINARY, bytes(frame.data), rsv=4 if frame.rsv1 else 0))
        (event,) = self.reader.receive(data)
        assert isinstance(event, bytes)
        return event


@pytest.mark.parametrize(("wanted", "offered"), list(_parameter_sets()))
def test_every_parameter_set_with_websockets(wanted: Compression, offered: dict[str, Any]) -> None:
    both = Both(wanted, offered)
    for message in (*MESSAGES, *MESSAGES):
        assert both.to_them(message) == message
        assert both.from_them(message) == message


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=600), st.text("ab\u00e9", max_size=900).map(str.encode)), max_size=8
    ),
    st.sampled_from(list(_parameter_sets())),
)
def test_any_messages_with_websockets(messages: list[bytes], parameters: Any) -> None:
    both = Both(*parameters)
    for message in messages:
        assert both.to_them(message) == message
        assert both.from_them(message) == message


# What is sent.


@pytest.mark.parametrize("bits", range(9, 16))
def test_window_is_not_exceeded(bits: int) -> None:
    # Repetitions further back than a small window, nearer than a large one.
    payload = b"".join(bytes([n % 251]) * 3 + b"%d" % (n * 7919) for n in range(20_000))
    data = deflate_wire(bits, 0).frame(payload, False)
    assert zlib.decompressobj(-bits).decompress(data[10:] + TAIL) == payload


def test_small_messages_are_left_alone() -> None:
    wire = deflate_wire(12, 256)
    assert wire.frame(b"x" * 255, True) == WS.frame(b"x" * 255, True)
    packed = wire.frame(b"x" * 256, True)
    assert packed[0] == 0xC1 and len(packed) < 20
    assert wire.frame(b"x" * 256, False)[0] == 0xC2


def test_compress_says_whether() -> None:
    for wire in (deflate_wire(12, 256), takeover_wire(256)):
        pack = Deflater(12).pack
        assert pack(wire.frame(b"x" * 1000, True, False)) == WS.frame(b"x" * 1000, True)
        assert pack(wire.frame(b"x" * 100, True, True))[0] == 0xC1
        assert pack(wire.frame(b"", True, True)) == b"\x81\x00"
        assert pack(wire.encode(Outgoing(b"x" * 100)))[0] == 0x81
        assert pack(wire.encode(Outgoing(b"x" * 100, compress=True)))[0] == 0xC1
        assert pack(wire.encode(Outgoing(b"x" * 1000, compress=False)))[0] == 0x81


def test_what_grows_is_sent_as_it_is() -> None:
    noise = zlib.compress(bytes(range(256)) * 64, 9)[:200]
    assert deflate_wire(12, 0).frame(noise, False) == WS.frame(noise, False)


def test_equal_wires_are_one_object() -> None:
    assert deflate_wire(12, 256) is deflate_wire(12, 256)
    assert deflate_wire(12, 256) is not deflate_wire(11, 256)
    assert takeover_wire(256) is takeover_wire(256)


def test_messages_do_not_refer_to_each_other() -> None:
    wire = deflate_wire(15, 0)
    first, second = (wire.frame(b"the same text, twice" * 20, True) for _ in range(2))
    assert first == second


def test_takeover_compresses_in_the_order_of_writing() -> None:
    wire, deflater = takeover_wire(0), Deflater(12)
    pieces = [wire.frame(b"the same text %d " % n * 20, True) for n in range(6)]
    assert [len(piece) for piece in pieces] == [324] * 6
    # Dropped, joined and turned round, before they are written.
    written = [pieces[4], wire.join([pieces[0], wire.frame(b"", False), pieces[5]]), pieces[2]]
    data = b"".join(map(deflater.pack, written))
    inflater, got = zlib.decompressobj(-12), []
    while data:
        size = data[1]
        packed, data = data[2 : 2 + size], (data[2 + size :])
        got.append(inflater.decompress(packed + TAIL) if size else b"")
    assert got == [b"the same text %d " % n * 20 if n >= 0 else b"" for n in (4, 0, -1, 5, 2)]
    assert wire.size(wire.join([])) == 0 and deflater.pack(wire.join([])) == b""


def test_a_deflater_holds_nothing_before_it_is_used() -> None:
    deflater = Deflater(12)
    before = sys.getsizeof(deflater)
    assert before < 100
    deflater.pack(takeover_wire(256).frame(b"small", True))
    assert deflater._compressor is None


# The settings.


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_bits": 8},
        {"window_bits": 16},
        {"client_window_bits": True},
        {"threshold": -1},
        {"threshold": 1.5},
    ],
    ids=str,
)
def test_settings_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Compression(**wrong)
