"""Frames get from us the verdict that they get from `websockets`, but for the documented differences.

The differences stand in `tests/core/test_ws_differential.py`, which judges here as well.
"""

from __future__ import annotations

from fuzz.source import Source
from tests.conformance.ws_model import Frame
from tests.core.test_ws_differential import check_verdicts

__all__ = ["check"]

OPCODES = (1, 2, 0, 8, 9, 10, 1, 0, 3, 11, 15, 7)


def check(data: bytes) -> None:
    """Make frames of the input, three bytes and a payload each, and places to cut them."""
    source = Source(data)
    edges = {source.byte() for _ in range(source.byte() % 5)}
    frames: list[Frame] = []
    while source and len(frames) < 24:
        flags = source.byte()
        frames.append(
            Frame(
                source.pick(OPCODES),
                b"x" * (60 + flags) if flags & 64 else source.take(source.byte() & 63),
                fin=not flags & 1,
                rsv=flags >> 3 & 7 if flags & 6 == 6 else 0,
                masked=flags & 7 != 4,
                length_bytes=(None, None, 2, 8)[flags >> 4 & 3] if flags & 128 else None,
            )
        )
    check_verdicts(frames, edges)
