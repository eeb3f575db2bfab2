"""The parts of a WebSocket conformance case, and how they become bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "DEFAULT_MASK",
    "KOSME",
    "PING",
    "PONG",
    "TEXT",
    "Case",
    "Frame",
    "Item",
    "Part",
    "Step",
    "bad",
    "close",
    "cut",
    "decode",
    "each",
    "encode",
    "encode_step",
    "good",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 0x40

DEFAULT_MASK = b"\x37\xfa\x21\x3d"
"""The masking key of the examples in RFC 6455 section 5.7."""

KOSME = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()
"""The Greek word of Markus Kuhn's UTF-8 tests: characters of two and three octets."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the client, its payload as it is before masking.

    `length_bytes` is 0, 2 or 8 extended length bytes where the shortest form is not wanted; `length` is what
    the header claims where that is not the payload's length.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = True
    length_bytes: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Octets `begin` to `end` of a frame's payload; the header goes with octet 0."""

    frame: Frame
    begin: int
    end: int


Item: TypeAlias = Frame | Part
Step: TypeAlias = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One case; the docstring of `ws_cases` says how to run it.

    `extensions` is what the client offers; where it is empty it offers none.
    """

    id: str
    description: str
    steps: tuple[Step, ...]
    expect: tuple[tuple[int, bytes], ...]
    close: frozenset[int]
    chop: int = 0
    fails_at: int | None = None
    extensions: bytes = b""


def encode(item: Item, mask: bytes = DEFAULT_MASK) -> bytes:
    """Return the bytes of a frame, or of a part of one, as they go over the wire."""
    frame = item.frame if isinstance(item, Part) else item
    begin, end = (item.begin, item.end) if isinstance(item, Part) else (0, len(frame.payload))
    size = len(frame.payload) if frame.length is None else frame.length
    width = frame.length_bytes
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    flag = 0x80 if frame.masked else 0
    header = bytes(
        (0x80 * frame.fin | frame.rsv << 4 | frame.opcode, flag | {0: size, 2: 126, 8: 127}[width])
    )
    header += size.to_bytes(width, "big") if width else b""
    payload = frame.payload
    if frame.masked:
        header += mask
        key = (mask * (len(payload) // 4 + 1))[: len(payload)]
        mixed = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        payload = mixed.to_bytes(len(payload), "big")
    return (header if begin == 0 else b"") + payload[begin:end]


def encode_step(step: Step, mask: bytes = DEFAULT_MASK) -> bytes:
    """Return the bytes of one step."""
    return b"".join(encode(item, mask) for item in step)


def decode(data: bytes, inflater: zlib._Decompress | None = None) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the whole frames at the head of what a server sent, and the bytes behind them.

    Raises `ValueError` for a frame that no server may send here: masked, in fragments, with a reserved bit,
    or with a length in more octets than it needs. With an inflater a data frame may have RSV1 and is
    inflated.
    """
    frames: list[tuple[int, bytes]] = []
    position = 0
    while len(data) - position >= 2:
        first, size = data[position], data[position + 1]
        start = position + 2 + {126: 2, 127: 8}.get(size, 0)
        compressed = inflater is not None and first in (0x80 | RSV1 | TEXT, 0x80 | RSV1 | BINARY)
        if (first & 0xF0 != 0x80 and not compressed) or size > 127:
            raise ValueError(
                f"a server does not send a frame that begins with {data[position : position + 2]!r}"
            )
        if len(data) < start:
            break
        if start > position + 2:
            least = 126 if size == 126 else 65536
            size = int.from_bytes(data[position + 2 : start], "big")
            if size < least:
                raise ValueError(f"a length of {size} does not need {start - position - 2} octets")
        if len(data) < start + size:
            break
        payload = data[start : start + size]
        if inflater is not None and compressed:
            payload = inflater.decompress(payload + b"\0\0\xff\xff")
        frames.append((first & 0x0F, payload))
        position = start + size
    return frames, data[position:]


def close(code: int | None = 1000, reason: bytes = b"") -> Frame:
    return Frame(CLOSE, (b"" if code is None else code.to_bytes(2, "big")) + reason)


def good(
    id: str,
    description: str,
    *steps: Step,
    expect: Iterable[tuple[int, bytes]] = (),
    chop: int = 0,
) -> Case:
    """A case that ends by the client's close."""
    return Case(id, description, (*steps, (close(),)), tuple(expect), frozenset({1000}), chop)


def bad(
    id: str,
    description: str,
    *steps: Step,
    code: int = 1002,
    expect: Iterable[tuple[int, bytes]] = (),
    chop: int = 0,
    fails_at: int | None = None,
) -> Case:
    """A case that the server ends."""
    return Case(id, description, steps, tuple(expect), frozenset({code}), chop, fails_at)


def each(frames: Iterable[Frame]) -> tuple[Step, ...]:
    """One step per frame."""
    return tuple((frame,) for frame in frames)


def cut(opcode: int, payload: bytes, size: int) -> tuple[Frame, ...]:
    starts = range(0, len(payload), size)
    return tuple(
        Frame(CONTINUATION if start else opcode, payload[start : start + size], fin=start == starts[-1])
        for start in starts
    )
