"""The receiving half of a WebSocket with permessage-deflate (RFC 7692): inflates as bytes come, bounded."""

from __future__ import annotations

import zlib
from typing import Final

from longwave.core.deflate import RSV1
from longwave.core.frames import BINARY, TEXT
from longwave.core.ws import Event, Unfinished, WebSocket

__all__ = ["InflatingWebSocket"]

STEP: Final = 128 * 1024
"""Bytes that are inflated at once: beside the message, this is what it costs."""
MAX_ENDS: Final = 16
"""Final blocks inside one message: each costs a new inflater, and takes ten bits on the wire."""
TAIL: Final = b"\x00\x00\xff\xff"
"""RFC 7692 section 7.2.2: appended "to the tail end of the payload of the message"."""


class InflatingWebSocket(WebSocket):
    """A `WebSocket` whose client may compress.

    The limit of a message holds for what it is inflated to, and the inflating stops there; on the wire it may
    take twice as much. Without context takeover nothing is kept between messages.
    """

    __slots__ = ("_bits", "_context", "_takeover")

    def __init__(self, max_message: int, max_fragments: int, bits: int, takeover: bool) -> None:
        super().__init__(max_message, max_fragments)
        self._bits = bits
        self._takeover = takeover
        self._context: Context | None = None

    def _take(self, buffer: bytes | bytearray, position: int, end: int) -> tuple[int, Event | None]:
        try:
            return super()._take(buffer, position, end)
        except zlib.error as error:
            raise self._fail(1007, "a compressed message cannot be inflated") from error
        except TooLong:
            raise self._fail(1009, f"a message is longer than {self._max_message} bytes") from None

    def _allows(self, first: int) -> bool:
        """Section 6: RSV1 on the first frame of a message alone; never on a control frame."""
        return first & 0x70 == RSV1 and first & 0x0F in (TEXT, BINARY)

    def _room(self, first: int) -> int:
        message = self._message
        if isinstance(message, Inflating):
            return self._on_wire - message.taken
        if message is None and first & RSV1:
            return self._on_wire
        return super()._room(first)

    def _compressed(self, is_text: bool) -> Unfinished:
        context = self._context or Context(self._bits)
        if self._takeover:
            self._context = context
        return Inflating(is_text, context, self._max_message)

    @property
    def _on_wire(self) -> int:
        """What does not get smaller grows by 5 bytes a block; some clients make a block of 64 bytes."""
        return 2 * self._max_message + 64

    def _shut(self) -> None:
        super()._shut()
        self._context = None


class TooLong(Exception):
    """A message is inflated to more than the limit."""


class Context:
    """An inflater; kept between messages where the client takes over its context."""

    __slots__ = ("bits", "inflater")

    def __init__(self, bits: int) -> None:
        # zlib's window of 8 bits has a history of bugs; a larger one than the client's is always right.
        self.bits = max(bits, 9)
        self.inflater = zlib.decompressobj(-self.bits)

    def restart(self, history: bytes) -> None:
        """Go on after a final block, with what the message was so far as the window."""
        self.inflater = zlib.decompressobj(-self.bits, zdict=history)


class Inflating(Unfinished):
    """A compressed message that is not here whole, inflated as far as it is.

    `taken` is its bytes on the wire so far.
    """

    __slots__ = ("_context", "_ends", "_limit", "taken")

    def __init__(self, is_text: bool, context: Context, limit: int) -> None:
        super().__init__(is_text)
        self._context = context
        self._limit = limit
        self._ends = 0
        self.taken = 0

    def add(self, masked: bytes | bytearray) -> bool:
        """Add a part of a frame; False as `Unfinished.add`.

        Raises `TooLong` past the limit, and `zlib.error`.
        """
        self.taken += len(masked)
        if not self._inflate(self.unmask(masked)):
            return False
        return self.in_frame or not self.final or self._inflate(TAIL)

    def _inflate(self, piece: bytes | bytearray) -> bool:
        context = self._context
        waiting = False
        while piece or waiting:
            room = self._limit - self.size
            asked = min(STEP, room + 1)
            inflated = context.inflater.decompress(piece, asked)
            if len(inflated) > room:
                raise TooLong
            if inflated and not self.extend(inflated):
                return False
            if context.inflater.eof:
                # Section 7.2.3.4: "a block with the BFINAL bit set to 1" may stand inside a message.
                self._ends += 1
                if self._ends > MAX_ENDS:
                    raise zlib.error("too many final blocks")
                piece = context.inflater.unused_data
                context.restart(bytes(self.data[-(1 << context.bits) :]))
                waiting = False
            else:
                piece = context.inflater.unconsumed_tail
                # zlib may have taken all the input and hold output for which there was no room.
                waiting = len(inflated) == asked
        return True
