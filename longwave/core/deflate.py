"""permessage-deflate (RFC 7692): what is agreed on at the handshake, and the wires that compress."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from msgspec import Struct

from longwave.core.frames import BINARY, TEXT, WS, encode_frame
from longwave.errors import RequestError
from longwave.types import Compression, Fields, Publication

__all__ = [
    "RSV1",
    "Agreement",
    "DeflateWire",
    "Deflater",
    "TakeoverWire",
    "Waiting",
    "deflate_wire",
    "negotiate",
    "takeover_wire",
]

RSV1: Final = 0x40
"""RFC 7692 section 6: "the "Per-Message Compressed" bit", on the first frame of a message."""


class Agreement(Struct, frozen=True):
    """What both sides hold to, and the `Sec-WebSocket-Extensions` that says so."""

    response: bytes
    server_bits: int
    server_takeover: bool
    client_bits: int
    client_takeover: bool


def negotiate(headers: Fields, wanted: Compression) -> Agreement | None:
    """Accept the client's first offer that can be accepted; None without one.

    Raises `RequestError` (400) for a header that breaks the grammar: RFC 6455 section 9.1, "the recipient of
    such malformed data MUST immediately _Fail the WebSocket Connection_".
    """
    text = b",".join(value for name, value in headers if name == b"sec-websocket-extensions")
    for name, parameters in _offers(text):
        if name == b"permessage-deflate":
            agreed = _agree(parameters, wanted)
            if agreed is not None:
                return agreed
    return None


class DeflateWire:
    """The format of all with the same window and no context takeover.

    A publication is compressed once for all of them.
    """

    __slots__ = ("_bits", "_threshold")

    def __init__(self, bits: int, threshold: int) -> None:
        self._bits = bits
        self._threshold = threshold

    def encode(self, outgoing: Publication) -> bytes:
        """Return the frame of one publication."""
        return self.frame(outgoing.payload, outgoing.is_text, outgoing.compress)

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> bytes:
        """Return the frame of one message, compressed where that makes it smaller.

        `compress` None leaves messages below the threshold alone, False this one, True compresses it.
        """
        if compress is None:
            compress = len(payload) >= self._threshold
        if compress:
            # Made anew for each message: nothing of one is in another, and nothing is held between them.
            # It costs no more than one that is kept and reset: 9 us for 256 bytes, either way.
            packed = _deflate(_compressor(self._bits), payload)
            if len(packed) < len(payload):
                return encode_frame(RSV1 | (TEXT if is_text else BINARY), packed)
        return WS.frame(payload, is_text)

    join = staticmethod(b"".join)
    size = staticmethod(len)


class Unpacked(NamedTuple):
    """A message that is compressed when it is written."""

    payload: bytes
    is_text: bool


class Waiting:
    """A piece of frames that are ready (bytes), and of messages to compress.

    Its `len` is the bytes before that.
    """

    __slots__ = ("_size", "parts")

    def __init__(self, parts: tuple[bytes | Unpacked, ...], size: int) -> None:
        self.parts = parts
        self._size = size

    def __len__(self) -> int:
        """Return its bytes, uncompressed."""
        return self._size

    def split(self) -> list[Waiting]:
        """Return its messages and frames one by one."""
        return [
            Waiting((part,), len(part) if isinstance(part, bytes) else len(part.payload) + 4)
            for part in self.parts
        ]


class TakeoverWire:
    """The format of all who take over context.

    Each client's bytes depend on all that it got before. So nothing is compressed before it is written:
    whatever a policy drops, or the hub puts in order, the client gets a whole stream. Pieces are `Waiting`;
    the connection gives them to its `Deflater`.
    """

    __slots__ = ("_threshold",)

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold

    def encode(self, outgoing: Publication) -> Waiting:
        """Return the piece of one publication."""
        return self.frame(outgoing.payload, outgoing.is_text, outgoing.compress)

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> Waiting:
        """Return the piece of one message."""
        if payload and (len(payload) >= self._threshold if compress is None else compress):
            return Waiting((Unpacked(payload, is_text),), len(payload) + 4)
        frame = WS.frame(payload, is_text)
        return Waiting((frame,), len(frame))

    def join(self, pieces: Sequence[Waiting]) -> Waiting:
        """Return one piece of several."""
        parts = tuple(part for piece in pieces for part in piece.parts)
        return Waiting(parts, sum(map(len, pieces)))

    size = staticmethod(len)


class Deflater:
    """The compressor of one connection with context takeover.

    It exists from the first use on.
    """

    __slots__ = ("_bits", "_compressor")

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._compressor: zlib._Compress | None = None

    def pack(self, piece: bytes | Waiting) -> bytes:
        """Return the bytes of a piece; in the order in which they go to the network."""
        if isinstance(piece, bytes):
            return piece
        parts = [part if isinstance(part, bytes) else self._frame(part) for part in piece.parts]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _frame(self, message: Unpacked) -> bytes:
        if self._compressor is None:
            self._compressor = _compressor(self._bits)
        # Also where it is no smaller: the compressor has it in its window now, and so must the client.
        packed = _deflate(self._compressor, message.payload)
        return encode_frame(RSV1 | (TEXT if message.is_text else BINARY), packed)


@cache
def deflate_wire(bits: int, threshold: int) -> DeflateWire:
    """Return the one wire of a window and a threshold."""
    return DeflateWire(bits, threshold)


@cache
def takeover_wire(threshold: int) -> TakeoverWire:
    """Return the one wire of a threshold."""
    return TakeoverWire(threshold)


def _compressor(bits: int) -> zlib._Compress:
    # 12 bits: 32 KiB while it lives. zlib allots 2^(bits + 2) + 2^(level + 9) bytes; with the usual level 8
    # the second alone would be 128 KiB, which take longer to clear than a message takes to compress.
    return zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -bits, bits - 7)


def _deflate(compressor: zlib._Compress, payload: bytes) -> bytes:
    """RFC 7692 section 7.2.1: flushed to a byte boundary, without the last four bytes, 00 00 FF FF."""
    return compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


Parameters = list[tuple[bytes, bytes | None]]


def _agree(parameters: Parameters, wanted: Compression) -> Agreement | None:
    """Accept one offer, or decline it (None).

    RFC 7692 section 7.1: "A server MUST decline an extension negotiation offer" with a parameter that is not
    defined, that has an invalid value, that is there more than once, or that it does not support.
    """
    offered: dict[bytes, bytes | None] = {}
    for name, value in parameters:
        if name in offered or not _is_valid(name, value):
            return None
        offered[name] = value
    response = [b"permessage-deflate"]
    server_bits = wanted.window_bits
    limit = offered.get(b"server_max_window_bits")
    if limit is not None:
        # zlib has no raw deflate with a window of 256 bytes (8): an offer that insists on it is declined.
        if limit == b"8":
            return None
        server_bits = min(server_bits, int(limit))
    server_takeover = wanted.context_takeover and b"server_no_context_takeover" not in offered
    if not server_takeover:
        response.append(b"server_no_context_takeover")
    # Section 7.1.1.2: the server may ask for it, offered or not.
    client_takeover = wanted.client_context_takeover and b"client_no_context_takeover" not in offered
    if not client_takeover:
        response.append(b"client_no_context_takeover")
    if limit is not None or server_bits < 15:
        response.append(b"server_max_window_bits=%d" % server_bits)
    client_bits = 15
    # Section 7.1.2.2: a client that does not offer it cannot be asked to.
    if b"client_max_window_bits" in offered:
        client_bits = min(wanted.client_window_bits, int(offered[b"client_max_window_bits"] or 15))
        if client_bits < 15:
            response.append(b"client_max_window_bits=%d" % client_bits)
    return Agreement(b"; ".join(response), server_bits, server_takeover, client_bits, client_takeover)


def _is_valid(name: bytes, value: bytes | None) -> bool:
    """Section 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive"."""
    if name in (b"server_no_context_takeover", b"client_no_context_takeover"):
        return value is None
    if name == b"client_max_window_bits":
        return value is None or value in _BITS
    return name == b"server_max_window_bits" and value in _BITS


def _offers(text: bytes) -> list[tuple[bytes, Parameters]]:
    """Read the list of extensions (RFC 6455 section 9.1; empty elements as in RFC 9110 section 5.6.1)."""
    offers: list[tuple[bytes, Parameters]] = []
    position = 0
    while (position := _match(_GAP, text, position).end()) < len(text):
        found = _match(_NAME, text, position)
        parameters: Parameters = []
        position = found.end()
        while (parameter := _PARAMETER.match(text, position)) is not None:
            name, value, quoted = parameter.groups()
            if quoted is not None:
                # "the value after quoted-string unescaping MUST conform to the 'token' ABNF".
                value = _match(_NAME, _ESCAPED.sub(rb"\1", quoted), 0, whole=True).group()
            parameters.append((name, value))
            position = parameter.end()
        position = _match(_END, text, position).end()
        offers.append((found.group(), parameters))
    return offers


def _match(pattern: re.Pattern[bytes], text: bytes, position: int, whole: bool = False) -> re.Match[bytes]:
    found = pattern.fullmatch(text, position) if whole else pattern.match(text, position)
    if found is None:
        raise RequestError(400, "Sec-WebSocket-Extensions is malformed")
    return found


_BITS = frozenset(b"%d" % bits for bits in range(8, 16))
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_GAP = re.compile(rb"[ \t,]*")
_NAME = re.compile(_TOKEN)
_PARAMETER = re.compile(
    rb"[ \t]*;[ \t]*(" + _TOKEN + rb")(?:[ \t]*=[ \t]*(?:(" + _TOKEN + rb')|"((?:[^"\\]|\\.)*)"))?', re.DOTALL
)
_END = re.compile(rb"[ \t]*(?:,|\Z)")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
