"""WebSocket frames as a server sends them (RFC 6455), the wire made of them, the rules of close codes."""

from __future__ import annotations

from struct import Struct
from typing import Final

from longwave.types import Publication

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "MAX_CONTROL",
    "MAX_REASON",
    "PING",
    "PONG",
    "TEXT",
    "WS",
    "WsWire",
    "check_close",
    "count_frames",
    "encode_binary",
    "encode_close",
    "encode_close_answer",
    "encode_frame",
    "encode_ping",
    "encode_pong",
    "encode_text",
    "is_close_code",
    "split_frames",
]

# RFC 6455 section 5.2: opcodes.
CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

MAX_CONTROL: Final = 125
"""RFC 6455 section 5.5: "All control frames MUST have a payload length of 125 bytes or less"."""
MAX_REASON: Final = MAX_CONTROL - 2
"""Bytes of UTF-8 that are left for a close reason beside the two of the code."""


class WsWire:
    """The format of a WebSocket without extensions: a piece is bytes, whole frames."""

    __slots__ = ()

    def encode(self, outgoing: Publication) -> bytes:
        """Return the frame of one publication."""
        return self.frame(outgoing.payload, outgoing.is_text)

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> bytes:
        """Return the frame of one message."""
        size = len(payload)
        if size < 126:
            return (_TEXT_HEADERS if is_text else _BINARY_HEADERS)[size] + payload
        if size < 0x10000:
            return _pack_16(0x81 if is_text else 0x82, 126, size) + payload
        return encode_frame(TEXT if is_text else BINARY, payload)

    join = staticmethod(b"".join)
    size = staticmethod(len)


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return one final unmasked frame; it does not judge opcode or payload.

    RFC 6455 section 5.1: "A server MUST NOT mask any frames that it sends to the client"; section 5.2:
    "the minimal number of bytes MUST be used to encode the length".
    """
    size = len(payload)
    if size < 126:
        return _pack_7(0x80 | opcode, size) + payload
    if size < 0x10000:
        return _pack_16(0x80 | opcode, 126, size) + payload
    return _pack_64(0x80 | opcode, 127, size) + payload


def encode_text(data: str) -> bytes:
    """Return a text frame; `UnicodeEncodeError` (`ValueError`) for a lone surrogate."""
    return WS.frame(data.encode(), True)


def encode_binary(data: bytes) -> bytes:
    """Return a binary frame."""
    return WS.frame(data, False)


def encode_ping(data: bytes = b"") -> bytes:
    """Return a ping frame; raises `ValueError` above 125 bytes (RFC 6455 section 5.5)."""
    return _encode_control(PING, data, "ping")


def encode_pong(data: bytes = b"") -> bytes:
    """Return a pong frame; raises `ValueError` above 125 bytes (RFC 6455 section 5.5)."""
    return _encode_control(PONG, data, "pong")


def encode_close(code: int = 1000, reason: str = "") -> bytes:
    """Return a close frame; raises `ValueError` as `check_close` does."""
    check_close(code, reason)
    return encode_frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def encode_close_answer(code: int) -> bytes:
    """Return the answer to a close frame that carried `code`; 1005 if it carried none.

    RFC 6455 section 5.5.1: "the endpoint typically echos the status code it received"; section 7.4.1
    forbids to send 1005, so an empty frame answers an empty frame.
    """
    return b"\x88\x00" if code == 1005 else encode_close(code)


def check_close(code: int, reason: str) -> None:
    """Raise `ValueError` for a close code or reason that must not be sent.

    RFC 6455 sections 7.4 and 5.5.
    """
    if not is_close_code(code):
        raise ValueError(
            f"a close code is 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 section 7.4), not {code!r}"
        )
    size = len(reason.encode())
    if size > MAX_REASON:
        raise ValueError(f"a close reason has at most {MAX_REASON} bytes as UTF-8, this one has {size}")


def is_close_code(code: int) -> bool:
    """Whether a close frame may carry this code, in either direction.

    RFC 6455 section 7.4.1 reserves 1004, 1005, 1006 and 1015; the IANA registry adds 1012, 1013 and 1014;
    section 7.4.2 leaves 3000 to 4999 to libraries and applications.
    """
    return 3000 <= code <= 4999 or 1007 <= code <= 1014 or 1000 <= code <= 1003


def split_frames(piece: bytes) -> list[bytes]:
    """Return the frames of a piece that holds whole unmasked ones."""
    frames = []
    start, end = 0, len(piece)
    while start < end:
        length = piece[start + 1]
        stop = start + 2 + length
        if length == 126:
            stop = start + 4 + int.from_bytes(piece[start + 2 : start + 4], "big")
        elif length == 127:
            stop = start + 10 + int.from_bytes(piece[start + 2 : start + 10], "big")
        frames.append(piece[start:stop])
        start = stop
    return frames


def count_frames(piece: bytes) -> int:
    """Return how many whole unmasked frames a piece holds."""
    count, at, end = 0, 0, len(piece)
    if end and piece[1] + 2 == end:
        return 1
    while at < end:
        length = piece[at + 1]
        if length == 126:
            length = 2 + int.from_bytes(piece[at + 2 : at + 4], "big")
        elif length == 127:
            length = 8 + int.from_bytes(piece[at + 2 : at + 10], "big")
        at += 2 + length
        count += 1
    return count


def _encode_control(opcode: int, data: bytes, name: str) -> bytes:
    size = len(data)
    if size > MAX_CONTROL:
        raise ValueError(f"a {name} carries at most {MAX_CONTROL} bytes (RFC 6455 section 5.5), not {size}")
    return _pack_7(0x80 | opcode, size) + data


_pack_7 = Struct("!BB").pack
_pack_16 = Struct("!BBH").pack
_pack_64 = Struct("!BBQ").pack

_TEXT_HEADERS = tuple(_pack_7(0x80 | TEXT, size) for size in range(126))
_BINARY_HEADERS = tuple(_pack_7(0x80 | BINARY, size) for size in range(126))

WS: Final = WsWire()
"""The one wire of every WebSocket without extensions."""
