"""What workers of one machine say to each other: length-prefixed MessagePack, never pickle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from longwave.errors import BackplaneError
from longwave.hub.drivers import Envelope

__all__ = ["VERSION", "Frame", "FrameReader", "Hello", "Lost", "Publication", "encode_frame"]

VERSION: Final = 1
PREFIX: Final = 4
"""Bytes of the length before each frame, the lowest first."""
MOST: Final = 64 * 1024 * 1024
"""Bytes of a frame."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first frame: who speaks."""

    version: int
    name: str


class Publication(Envelope, frozen=True, array_like=True, tag=1):
    """An envelope on its way."""


class Lost(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """So many publications were left out here, because there was no room."""

    count: int


Frame: TypeAlias = Hello | Publication | Lost

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


def encode_frame(frame: Hello | Lost | Envelope) -> bytes:
    """Return a frame with its length; raises `BackplaneError` for a too long one."""
    if isinstance(frame, Envelope):
        body = _encode(
            (
                1,
                frame.node,
                frame.topic,
                frame.payload,
                frame.is_text,
                frame.namespace,
                frame.publisher,
                frame.position,
                frame.compress,
            )
        )
    else:
        body = _encode(frame)
    if len(body) > MOST:
        raise BackplaneError(
            f"a publication of {len(body)} bytes does not reach other workers: {MOST} at most"
        )
    return len(body).to_bytes(PREFIX, "little") + body


class FrameReader:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def receive(self, data: bytes) -> Iterator[Frame]:
        """Return the frames that are whole now; raises `ValueError` for what is none."""
        held: bytes | bytearray = data
        if self._held:
            self._held += data
            held = self._held
        end, at = len(held), 0
        try:
            with memoryview(held) as view:
                while end - at >= PREFIX:
                    length = int.from_bytes(view[at : at + PREFIX], "little")
                    if length > MOST:
                        raise ValueError(f"a frame of {length} bytes")
                    begin = at + PREFIX
                    if end - begin < length:
                        break
                    at = begin + length
                    yield _decode(view[begin:at])
        finally:
            if held is data:
                self._held += data[at:]
            else:
                del self._held[:at]
