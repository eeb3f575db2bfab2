"""Frames as the server sends them, and the rules of close codes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core import frames
from longwave.core.frames import (
    WS,
    WsWire,
    check_close,
    encode_binary,
    encode_close,
    encode_close_answer,
    encode_frame,
    encode_ping,
    encode_pong,
    encode_text,
    is_close_code,
)
from longwave.types import Wire
from tests.conformance.ws_model import BINARY, CLOSE, PING, PONG, TEXT, decode


@dataclass
class Outgoing:
    payload: bytes
    is_text: bool
    topic: str = "room"
    position: str | None = None
    compress: bool | None = None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_frames_are_final_unmasked_and_short(size: int) -> None:
    # `decode` refuses everything else.
    payload = b"x" * size
    for opcode in (TEXT, BINARY):
        wanted = ([(opcode, payload)], b"")
        assert decode(encode_frame(opcode, payload)) == wanted
        assert decode(WS.frame(payload, opcode == TEXT)) == wanted
        assert decode(WS.encode(Outgoing(payload, opcode == TEXT))) == wanted
    assert encode_text("x" * size) == WS.frame(payload, True)
    assert encode_binary(payload) == WS.frame(payload, False)


def test_the_examples_of_the_rfc() -> None:
    # RFC 6455 section 5.7.
    assert encode_text("Hello") == bytes.fromhex("810548656c6c6f")
    assert encode_pong(b"Hello")[1:] == encode_ping(b"Hello")[1:]
    assert encode_ping(b"Hello") == bytes.fromhex("890548656c6c6f")
    assert encode_binary(bytes(256))[:4] == bytes.fromhex("827e0100")
    assert encode_binary(bytes(65536))[:10] == bytes.fromhex("827f0000000000010000")


def test_the_wire_is_a_wire() -> None:
    wire: Wire = WS
    pieces = [wire.frame(b"a", True), wire.frame(b"b", False)]
    assert wire.join(pieces) == b"\x81\x01a\x82\x01b"
    assert wire.size(wire.join(pieces)) == 6
    assert not hasattr(WsWire(), "__dict__")


@given(st.lists(st.one_of(st.text(max_size=200), st.binary(max_size=200))))
@settings(max_examples=100, deadline=None)
def test_what_is_joined_comes_apart(messages: list[str | bytes]) -> None:
    data = WS.join([encode_text(item) if isinstance(item, str) else encode_binary(item) for item in messages])
    wanted = [(TEXT, item.encode()) if isinstance(item, str) else (BINARY, item) for item in messages]
    assert decode(data) == (wanted, b"")


def test_text_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValueError):
        encode_text("\ud800")


def test_control_frames_have_at_most_125_bytes() -> None:
    for encode, opcode in ((encode_ping, PING), (encode_pong, PONG)):
        assert decode(encode()) == ([(opcode, b"")], b"")
        assert decode(encode(b"x" * 125)) == ([(opcode, b"x" * 125)], b"")
        with pytest.raises(ValueError, match="125"):
            encode(b"x" * 126)


def test_close_carries_code_and_reason() -> None:
    assert decode(encode_close()) == ([(CLOSE, b"\x03\xe8")], b"")
    assert decode(encode_close(4321, "é")) == ([(CLOSE, b"\x10\xe1\xc3\xa9")], b"")
    assert decode(encode_close(1000, "é" * 61 + "x"))[0][0][1][2:] == ("é" * 61 + "x").encode()
    with pytest.raises(ValueError, match="123 bytes"):
        encode_close(1000, "é" * 62)
    with pytest.raises(ValueError):
        encode_close(1000, "\ud800")


def test_close_codes() -> None:
    allowed = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(-1, 70_000) if is_close_code(code)} == allowed
    for code in (-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65536):
        with pytest.raises(ValueError, match=str(code)):
            encode_close(code)
        with pytest.raises(ValueError, match="RFC 6455"):
            check_close(code, "")
    check_close(4999, "x" * 123)


def test_the_answer_to_a_close_repeats_its_code() -> None:
    for code in (1000, 1001, 1014, 3000, 4999):
        assert decode(encode_close_answer(code)) == ([(CLOSE, code.to_bytes(2, "big"))], b"")
    assert decode(encode_close_answer(1005)) == ([(CLOSE, b"")], b"")


def test_every_public_name_is_listed() -> None:
    defined = {name for name in vars(frames) if not name.startswith("_")}
    assert set(frames.__all__) <= defined


def test_joined_frames_come_apart_again() -> None:
    sizes = (0, 1, 125, 126, 127, 65535, 65536, 0)
    joined = [encode_frame(TEXT if size % 2 else BINARY, b"x" * size) for size in sizes]
    assert frames.split_frames(b"".join(joined)) == joined
    assert frames.split_frames(b"") == []
    assert [frames.count_frames(b"".join(joined[:n])) for n in range(len(joined) + 1)] == list(
        range(len(joined) + 1)
    )
