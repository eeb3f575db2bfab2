"""Frames of a client that has agreed on permessage-deflate, as data; see `ws_cases` for how to run a case.

The server under test has the default limits, accepts the offer `EXTENSIONS` and lets the client take over
its context. Its own frames may be compressed or not. RFC 7692 has no code for data that cannot be inflated:
1002 and 1007 are both right.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.conformance.ws_model import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Case,
    Frame,
    Step,
    bad,
    close,
    cut,
    each,
    good,
)

__all__ = ["COMPRESSED", "EXTENSIONS"]

EXTENSIONS = b"permessage-deflate; client_max_window_bits"
LIMIT = 1024 * 1024
# RFC 7692 section 7.2.3.
HELLO = bytes.fromhex("f248cdc9c90700")
HELLO_AGAIN = bytes.fromhex("f200110000")
STORED = bytes.fromhex("000500faff48656c6c6f00")
FINAL = bytes.fromhex("f348cdc9c9070000")
TWO_BLOCKS = bytes.fromhex("f24805000000ffffcac9c90700")
ECHO = (TEXT, b"Hello")
PINGED = Frame(PING, b"!")
LARGE_TEXT = "grüße 😀 ".encode() * 9000


def _packed(payload: bytes, *, ends: bool = True) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    return data[:-4] if ends else data


def _first(payload: bytes, opcode: int = TEXT, **more: bool) -> Frame:
    return Frame(opcode, payload, rsv=4, **more)


def _in_frames(packed: bytes, size: int, opcode: int = TEXT) -> tuple[Frame, ...]:
    frames = cut(opcode, packed, size)
    return replace(frames[0], rsv=4), *frames[1:]


def _good() -> Iterator[Case]:
    rows: list[tuple[str, Step, Iterable[tuple[int, bytes]]]] = [
        ("one block", (_first(HELLO),), [ECHO]),
        ("a block that is not compressed", (_first(STORED),), [ECHO]),
        ("a block that says it is the last", (_first(FINAL),), [ECHO]),
        ("the last block, then another message", (_first(FINAL), _first(HELLO)), [ECHO, ECHO]),
        ("two blocks", (_first(TWO_BLOCKS),), [ECHO]),
        ("a message that refers to the one before", (_first(HELLO), _first(HELLO_AGAIN)), [ECHO, ECHO]),
        ("two fragments", _in_frames(HELLO, 3), [ECHO]),
        ("fragments of one octet", _in_frames(HELLO, 1), [ECHO]),
        ("empty fragments", (_first(b"", fin=False), Frame(CONTINUATION, HELLO)), [ECHO]),
        ("an empty message", (_first(b"\0"),), [(TEXT, b"")]),
        ("an empty block that says it is the last", (_first(b"\x03\0"),), [(TEXT, b"")]),
        ("a message that is not compressed between", (_first(HELLO), Frame(TEXT, b"plain"), _first(HELLO)),
         [ECHO, (TEXT, b"plain"), ECHO]),
        ("a ping between fragments", (_first(HELLO[:3], fin=False), PINGED, Frame(CONTINUATION, HELLO[3:])),
         [(PONG, b"!"), ECHO]),
        ("70 KiB of text in one frame", (_first(_packed(LARGE_TEXT)),), [(TEXT, LARGE_TEXT)]),
        ("octets that are not UTF-8, as binary",
         (_first(_packed(b"\xff\xfe"), BINARY),), [(BINARY, b"\xff\xfe")]),
        ("a message of 1 MiB", (_first(_packed(bytes(LIMIT)), BINARY),), [(BINARY, bytes(LIMIT))]),
    ]  # fmt: skip
    for number, (what, step, expect) in enumerate(rows, 1):
        yield good(f"B9.{number}", what, step, expect=expect)
        if len(step[0].payload if isinstance(step[0], Frame) else b"") < 100:
            yield good(f"B9.{number}c", f"{what}, octet by octet", step, expect=expect, chop=1)


def _bad() -> Iterator[Case]:
    rows: list[tuple[str, Step, int]] = [
        ("RSV1 on a continuation",
         (_first(HELLO[:3], fin=False), Frame(CONTINUATION, HELLO[3:], rsv=4)), 1002),
        ("RSV1 on a ping", (Frame(PING, rsv=4),), 1002),
        ("RSV1 on a pong", (Frame(PONG, rsv=4),), 1002),
        ("RSV1 on a close", (Frame(CLOSE, close().payload, rsv=4),), 1002),
        ("RSV1 on a reserved opcode", (Frame(3, HELLO, rsv=4),), 1002),
        ("RSV2", (Frame(TEXT, HELLO, rsv=2),), 1002),
        ("RSV3 beside RSV1", (Frame(TEXT, HELLO, rsv=5),), 1002),
        ("text that is not UTF-8", (_first(_packed(b"fine \xff")),), 1007),
        ("text that ends inside a character", (_first(_packed("é".encode()[:1])),), 1007),
        ("one octet more than 1 MiB", (_first(_packed(bytes(LIMIT + 1)), BINARY),), 1009),
        ("the same in fragments", _in_frames(_packed(bytes(LIMIT + 1)), 100, BINARY), 1009),
        ("a header that says too much",
         (Frame(BINARY, rsv=4, length=2**62, length_bytes=8),), 1009),
        ("4 097 frames", (_first(b"", fin=False), *[Frame(CONTINUATION, fin=False)] * 4096), 1008),
    ]  # fmt: skip
    for number, (what, step, code) in enumerate(rows, 20):
        yield bad(f"B9.{number}", what, step, code=code)
    for number, broken in enumerate((b"\xff\xff\xff", b"\x07", b"not deflate at all", HELLO_AGAIN), 40):
        case = bad(f"B9.{number}", f"{broken!r} cannot be inflated", (_first(broken),))
        yield replace(case, close=frozenset({1002, 1007}))
    frames = (
        _first(_packed(b"fine \xff", ends=False), fin=False),
        Frame(CONTINUATION, b"\0", fin=False),
        Frame(CONTINUATION, b"\0"),
    )
    yield bad("B9.50", "fail at the fragment that is not UTF-8", *each(frames), code=1007, fails_at=0)


COMPRESSED: tuple[Case, ...] = tuple(replace(case, extensions=EXTENSIONS) for case in (*_good(), *_bad()))
"""What RFC 7692 says of frames."""
