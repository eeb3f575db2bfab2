"""Compressed frames fare as `ws` says: in pieces as whole, with documented errors only, bounded.

What a client compresses and cuts into frames comes back; what our wires compress, zlib inflates to the same.
"""

from __future__ import annotations

import zlib

from fuzz.harnesses.ws import Verdict, check_with, verdict
from fuzz.source import Source, pieces
from longwave.core.deflate import RSV1, Deflater, deflate_wire, takeover_wire
from longwave.core.inflate import InflatingWebSocket
from longwave.core.ws import Event, Ping
from tests.conformance.ws_model import BINARY, CONTINUATION, PING, TEXT, Frame, decode, encode

__all__ = ["check"]

BITS = (15, 12, 9)
LIMIT = 70_000
BROKEN = {1007, 1009}


def check(data: bytes) -> None:
    """Read frames that a client has sent, or made of messages; the first byte says which, and what holds."""
    source = Source(data)
    how = source.byte()
    bits, takeover = BITS[how % 3], bool(how & 4)
    if how & 8:
        check_messages(source, bits, takeover)
    else:

        def make(max_message: int, max_fragments: int) -> InflatingWebSocket:
            return InflatingWebSocket(max_message, max_fragments, bits, takeover)

        check_with(make, source.rest(), same)


def same(one: Verdict, other: Verdict) -> bool:
    """Compare verdicts: which error of one compressed message is found first depends on the pieces.

    zlib hands out nothing of a piece with an error in it, neither what is too much nor what is no UTF-8.
    """
    errors = one[1], other[1]
    both = all(error is not None and error[0] in BROKEN for error in errors)
    return one[0] == other[0] and (both or errors[0] == errors[1])


def check_messages(source: Source, bits: int, takeover: bool) -> None:
    """Make messages of the input and send them both ways."""
    how, cut = source.byte(), source.byte()
    packer = zlib.compressobj(source.byte() % 10, zlib.DEFLATED, -bits)
    out, back = Deflater(bits), zlib.decompressobj(-bits)
    wire = takeover_wire(cut % 40) if takeover else deflate_wire(bits, cut % 40)
    sent: list[bytes] = []
    expected: list[Event] = []
    while source and len(expected) < 8:
        message: str | bytes
        flags = source.byte()
        times = flags >> 3 or 1
        if flags & 1:
            message = source.text().encode("utf-8", "replace").decode() * times
        else:
            message = source.take(source.byte()) * times
        is_text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        if not takeover:
            packer = zlib.compressobj(source.byte() % 10, zlib.DEFLATED, -bits)
        sent += frames_of(payload, is_text, packer if flags & 2 else None, cut)
        expected += [Ping(b"!")] * (len(sent) > 1 and sent[-1][0] == 0x80 | CONTINUATION)
        expected.append((payload.decode()) if is_text else payload)
        frame = out.pack(wire.frame(payload, is_text, (None, True, False)[(flags >> 2) % 3]))
        inflater = back if takeover else zlib.decompressobj(-bits)
        assert decode(frame, inflater) == ([(TEXT if is_text else BINARY, payload)], b"")
        assert frame[0] & RSV1 == 0 or takeover or len(frame) < len(payload) + 10
    reader = InflatingWebSocket(LIMIT, 4096, bits, takeover)
    whole = verdict(reader, pieces(b"".join(sent), how), LIMIT)
    assert whole == (expected, None), "not what the client sent"


def frames_of(payload: bytes, is_text: bool, packer: zlib._Compress | None, cut: int) -> list[bytes]:
    """Return the frames of one message: compressed or not, whole or with a ping before the last of them."""
    opcode, rsv = (TEXT if is_text else BINARY), 0
    if packer is not None:
        payload, rsv = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4], 4
    size = cut or max(1, len(payload))
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    frames = [
        Frame(CONTINUATION if number else opcode, part, number == len(parts) - 1, 0 if number else rsv)
        for number, part in enumerate(parts)
    ]
    if len(frames) > 1:
        frames.insert(-1, Frame(PING, b"!"))
    return [encode(frame) for frame in frames]
