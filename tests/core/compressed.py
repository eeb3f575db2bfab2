"""What tests of permessage-deflate share: offers, compressed messages, and what is read of them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import pytest

from longwave.core.deflate import Agreement, negotiate
from longwave.core.inflate import InflatingWebSocket
from longwave.core.ws import Event, WebSocket
from longwave.errors import ProtocolError
from longwave.types import Compression
from tests.conformance.ws_model import BINARY, CONTINUATION, TEXT, Frame, encode

__all__ = [
    "BOTH",
    "MIB",
    "TAIL",
    "TAKEOVER",
    "WIDE",
    "Outgoing",
    "answer",
    "ask",
    "bomb",
    "code_of",
    "compressed",
    "everything",
    "in_frames",
    "reader",
    "squeeze",
]

MIB = 1024 * 1024
TAIL = b"\x00\x00\xff\xff"
TAKEOVER = Compression(context_takeover=True, client_context_takeover=True)
WIDE = Compression(window_bits=15, client_window_bits=15)
BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@dataclass
class Outgoing:
    """A message as the peer has it."""

    payload: bytes
    is_text: bool = True
    topic: str = "room"
    position: str | None = None
    compress: bool | None = None


def ask(*lines: str, wanted: Compression = WIDE) -> Agreement | None:
    """Offer something; return what is agreed on."""
    fields = [(b"sec-websocket-extensions", line.encode()) for line in lines]
    return negotiate([(b"host", b"x"), *fields], wanted)


def answer(*lines: str, wanted: Compression = WIDE) -> str | None:
    """The same as the header says it."""
    agreed = ask(*lines, wanted=wanted)
    return None if agreed is None else agreed.response.decode()


def squeeze(payload: bytes, bits: int = 15, *, packer: Any = None) -> bytes:
    """Compress as the standard wants it: without the tail of a flush."""
    packer = packer or zlib.compressobj(9, zlib.DEFLATED, -bits)
    data: bytes = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(TAIL)
    return data[:-4]


def compressed(payload: bytes, opcode: int = TEXT, **options: Any) -> bytes:
    """Return a compressed message as one frame."""
    return encode(Frame(opcode, squeeze(payload, **options), rsv=4))


def in_frames(packed: bytes, step: int, opcode: int = BINARY) -> bytes:
    """Return it in frames of so many octets."""
    parts = [packed[at : at + step] for at in range(0, len(packed), step)] or [b""]
    frames = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        first = number == 0
        frames.append(encode(Frame(opcode if first else CONTINUATION, part, fin=last, rsv=4 if first else 0)))
    return b"".join(frames)


def reader(
    max_message: int = MIB, max_fragments: int = 4096, bits: int = 15, takeover: bool = False
) -> InflatingWebSocket:
    """Return the side of a server."""
    return InflatingWebSocket(max_message, max_fragments, bits, takeover)


def everything(websocket: WebSocket, *reads: bytes) -> list[Event]:
    """Return all events of some reads."""
    return [event for data in reads for event in websocket.receive(data)]


def code_of(websocket: WebSocket, *reads: bytes) -> int:
    """Return the code with which they end the connection."""
    with pytest.raises(ProtocolError) as caught:
        everything(websocket, *reads)
    assert websocket.closed
    return caught.value.code


def bomb() -> bytes:
    """Return 1 GiB of zeros, compressed to 1 MB: a MiB again and again, which is quicker than all of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)) * 1024
