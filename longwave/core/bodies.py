"""Request bodies in chunked coding, read strictly (RFC 9112 section 7.1)."""

from __future__ import annotations

import re
from typing import Final

from longwave.errors import RequestError
from longwave.limits import Limits

__all__ = ["ChunkReader"]

EXTENSION: Final = 256
"""Bytes of the extensions of one chunk. Go's net/http: 16 per chunk beyond the first 16 KiB."""

CHUNKS_PER_READ: Final = 64
"""Chunks that one call decodes, so that one-byte chunks cannot hold the loop."""

_SIZE, _DATA, _DATA_END, _TRAILERS, _FINISHED = range(5)

# RFC 9112 section 7.1: `chunk-size = 1*HEXDIG`, so no sign, prefix, underscore or space. 16 digits are 64
# bits. Section 7.1.1 wants bad whitespace before ";" accepted; other servers disagree about it, which is what
# request smuggling is made of, and no client sends it. Control characters never are part of an extension.
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)(;[\t\x20-\x7e\x80-\xff]{0,%d}+)?+(\r\n)?" % (EXTENSION - 1), re.DOTALL
)
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n")


class ChunkReader:
    """Reads one chunked body out of a buffer that it is shown again and again.

    The body is bounded by `limits.body` (413), its trailer section by `limits.headers` and
    `limits.header_count` (431), all its extensions together by `limits.headers` (400). Trailers are
    checked and dropped: RFC 9110 section 6.5.1 forbids to merge what was not asked for.
    """

    __slots__ = (
        "_extensions",
        "_left",
        "_limits",
        "_scanned",
        "_state",
        "_total",
        "_trailer_bytes",
        "_trailers",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = _SIZE
        self._left = 0
        self._total = 0
        self._extensions = 0
        self._scanned = 0
        self._trailers = 0
        self._trailer_bytes = 0

    @property
    def finished(self) -> bool:
        """Whether the end of the body, trailers included, was read."""
        return self._state == _FINISHED

    def read(self, held: bytes | bytearray, at: int) -> tuple[bytes, int]:
        """Decode from offset `at`; return the data and the offset of what was not used.

        What was not used must come first in the buffer of the next call. Raises `RequestError`.
        """
        pieces: list[bytes | bytearray] = []
        while len(pieces) < CHUNKS_PER_READ:
            if self._state == _SIZE:
                after = self._read_size(held, at)
                if after == at:
                    break
                at = after
                stop = at + self._left
                if self._state == _DATA and held[stop : stop + 2] == b"\r\n":
                    # A whole chunk is there: straight to the next, for clients that send tiny ones.
                    pieces.append(held[at:stop])
                    at = stop + 2
                    self._state = _SIZE
            elif self._state == _DATA:
                piece = held[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._state = _DATA_END
            elif self._state == _DATA_END:
                ending = held[at : at + 2]
                if ending != b"\r\n":
                    if b"\r\n".startswith(ending):
                        break
                    raise RequestError(
                        400, "the data of a chunk must end with CRLF after as many bytes as were said"
                    )
                at += 2
                self._state = _SIZE
            else:
                at = self._read_trailers(held, at)
                break
        return b"".join(pieces), at

    def _read_size(self, held: bytes | bytearray, at: int) -> int:
        """Read one size line; return the offset after it, or `at` when it is not complete."""
        if at == len(held):
            return at
        match = _SIZE_LINE.match(held, at)
        if match is None:
            raise RequestError(400, "a chunk size must be 1 to 16 hexadecimal digits")
        digits, extension, ending = match.groups()
        if ending is None:
            if held[match.end() : match.end() + 2] not in (b"", b"\r"):
                raise RequestError(
                    400,
                    f"a chunk size must end with CRLF; its extensions are at most {EXTENSION} bytes of text",
                )
            return at
        if extension is not None:
            self._extensions += len(extension)
            if self._extensions > self._limits.headers:
                raise RequestError(400, "the chunk extensions of this body are too long")
        size = int(digits, 16)
        if size == 0:
            self._state = _TRAILERS
        else:
            self._total += size
            if self._total > self._limits.body:
                message = f"the body is longer than {self._limits.body} bytes"
                raise RequestError(413, message, limit="limits.body")
            self._left = size
            self._state = _DATA
        return match.end()

    def _read_trailers(self, held: bytes | bytearray, at: int) -> int:
        """Read trailer lines; return the offset after the last complete one."""
        while self._state == _TRAILERS:
            end = held.find(b"\n", at + self._scanned)
            if end < 0:
                self._scanned = len(held) - at
                self._bound_trailers(self._scanned - 1)  # it may be the CR of the empty line, which is free
                break
            line = held[at : end + 1]
            if line == b"\r\n":
                self._state = _FINISHED
            elif _TRAILER.fullmatch(line) is None:
                raise RequestError(
                    400, "a trailer line must be a field name, a colon and a value, ended by CRLF"
                )
            else:
                self._trailers += 1
                self._trailer_bytes += len(line)
                self._bound_trailers(0)
            self._scanned = 0
            at = end + 1
        return at

    def _bound_trailers(self, more: int) -> None:
        limits = self._limits
        if self._trailer_bytes + more > limits.headers:
            message = f"the trailer section of the body is longer than {limits.headers} bytes"
            raise RequestError(431, message, limit="limits.headers")
        if self._trailers > limits.header_count:
            message = f"the body has more than {limits.header_count} fields of trailers"
            raise RequestError(431, message, limit="limits.header_count")
