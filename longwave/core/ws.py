"""The receiving half of a WebSocket, server side (RFC 6455): bytes in, messages out, no input or output."""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

from longwave.core.frames import BINARY, CLOSE, CONTINUATION, MAX_CONTROL, PING, PONG, TEXT, is_close_code
from longwave.core.mask import apply_mask
from longwave.errors import ProtocolError
from longwave.limits import Limits

__all__ = ["Close", "Event", "Ping", "Pong", "Unfinished", "WebSocket"]


class Ping(Struct, frozen=True):
    """A ping, to be answered by a pong with the same data."""

    data: bytes


class Pong(Struct, frozen=True):
    """A pong, asked for or not."""

    data: bytes


class Close(Struct, frozen=True):
    """The client's close frame, the last event; `code` is 1005 when it carried none."""

    code: int
    reason: str


Event: TypeAlias = str | bytes | Ping | Pong | Close
"""A message is its payload, `str` for text: an object around it would cost a fifth of its way."""

LARGE = 4096
"""Bytes of an unfinished message that are kept as they came; less is gathered."""

_DEFAULTS = Limits()


class WebSocket:
    """What came of one client, from the first byte after the handshake on.

    `receive_one` is the short way for the usual read that is exactly one small frame; when it returns None
    nothing was taken, and `receive` takes the same bytes.

    `max_message` bounds the bytes of a message (past it 1009), `max_fragments` its frames (past it 1008).
    `closed` is true after a `Close` and after a `ProtocolError`: from then on everything is ignored.
    `was_fragmented` is set by a message of several frames, and by a compressed one, for whoever shares out
    time: these may take milliseconds, while an event looks like any other.
    """

    __slots__ = (
        "_held",
        "_max_fragments",
        "_max_message",
        "_message",
        "_offset",
        "_ready",
        "closed",
        "was_fragmented",
    )

    def __init__(
        self, max_message: int = _DEFAULTS.message, max_fragments: int = _DEFAULTS.fragments
    ) -> None:
        self._max_message = max_message
        self._max_fragments = max_fragments
        self._held: bytes | bytearray = b""
        self._offset = 0
        self._message: Unfinished | None = None
        # The longest read that `receive_one` takes; 0 while anything is held, unfinished or closed, so
        # that one comparison settles both. It forgoes messages within 14 bytes of the limit.
        self._ready = max_message
        self.closed = False
        self.was_fragmented = False

    @property
    def held(self) -> int:
        """Bytes not handed out: unread ones, and those of an unfinished message."""
        unread = len(self._held) - self._offset
        return unread if self._message is None else unread + self._message.size

    def receive_one(self, data: bytes) -> str | bytes | None:
        """Return the payload when `data` is one whole small message and no more, or None.

        Text is `str`, binary `bytes`. None says nothing about the bytes: give them to `receive`. Raises
        `ProtocolError` (1007) for text that is not UTF-8.
        """
        size = len(data)
        if size > self._ready:
            return None
        if 5 < size < 132:
            # Six bytes of header, and a second byte of 128 (masked) + (size - 6).
            if data[1] != size + 122:
                return None
            first = data[0]
            if first == 0x81:
                try:
                    return apply_mask(data[6:], data[2:6]).decode()
                except UnicodeDecodeError as error:
                    raise self._not_utf8() from error
            return apply_mask(data[6:], data[2:6]) if first == 0x82 else None
        if size > 133 and data[1] == 254 and (data[2] << 8 | data[3]) == size - 8:
            first = data[0]
            if first == 0x81:
                try:
                    return apply_mask(data[8:], data[4:8]).decode()
                except UnicodeDecodeError as error:
                    raise self._not_utf8() from error
            return apply_mask(data[8:], data[4:8]) if first == 0x82 else None
        return None

    def receive(self, data: bytes) -> Iterator[Event]:
        """Take bytes, and return an iterator over the events that are complete with them.

        Each event is worked out when it is asked for. Who stops in the middle goes on with the iterator of
        `receive(b"")` or of the next bytes, and drops the earlier one. The iterator raises `ProtocolError`
        (1002, 1007, 1008, 1009) where the client broke a rule, after all that came before it.
        """
        if self.closed:
            return iter(())
        held = self._held
        if not held:
            self._held = data
        elif data:
            # A bytearray gives up its head and grows at its tail without copying what lies between, so
            # that bytes which wait long cost no more than others.
            if not isinstance(held, bytearray):
                held = self._held = bytearray(held)
            del held[: self._offset]
            self._offset = 0
            held += data
        self._ready = 0
        return self._events()

    def _events(self) -> Iterator[Event]:
        buffer = self._held
        position = self._offset
        end = len(buffer)
        limit = self._max_message
        small = min(limit, 125)
        event: Event | None
        while position < end:
            # The usual frame first: a whole message of less than 64 KiB.
            if self._message is None and end - position > 5:
                first = buffer[position]
                length = buffer[position + 1] - 128
                start = position + 6
                if length != 126:
                    whole = 0 <= length <= small
                else:
                    start += 2
                    length = buffer[position + 2] << 8 | buffer[position + 3]
                    whole = 126 <= length <= limit
                stop = start + length
            else:
                whole = False
            if whole and stop <= end and first == 0x81:
                try:
                    event = apply_mask(buffer[start:stop], buffer[start - 4 : start]).decode()
                except UnicodeDecodeError as error:
                    raise self._not_utf8() from error
            elif whole and stop <= end and first == 0x82:
                event = apply_mask(buffer[start:stop], buffer[start - 4 : start])
            else:
                stop, event = self._take(buffer, position, end)
                if event is None:
                    if stop == position:
                        # At most a header, or a control frame: the rest of a data frame was taken.
                        self._held, self._offset = buffer[position:], 0
                        return
                    position = stop
                    continue
                if self.closed:
                    yield event
                    return
            if stop == end:
                self._emptied()
                yield event
                return
            position = self._offset = stop
            yield event
        self._emptied()

    def _take(self, buffer: bytes | bytearray, position: int, end: int) -> tuple[int, Event | None]:
        """Read one frame, or what there is of a data frame; the position itself means not enough."""
        message = self._message
        if message is None or not message.in_frame:
            header = self._header(buffer, position, end)
            if header is None:
                return position, None
            opcode, final, length, start = header
            stop = start + length
            mask = buffer[start - 4 : start]
            if opcode >= CLOSE:
                if stop > end:
                    return position, None
                return stop, self._control(opcode, apply_mask(buffer[start:stop], mask))
            if message is None:
                if buffer[position] & 0x40:
                    message = self._message = self._compressed(opcode == TEXT)
                elif final and stop <= end:
                    return stop, self._message_event(opcode == TEXT, apply_mask(buffer[start:stop], mask))
                else:
                    message = self._message = Unfinished(opcode == TEXT)
            message.begin(final, length, mask)
            position = start
        stop = min(end, position + message.remaining)
        if not message.add(buffer[position:stop]):
            raise self._not_utf8()
        if message.in_frame or not message.final:
            return stop, None
        self._message = None
        self.was_fragmented = True
        return stop, self._message_event(message.is_text, message.data)

    def _header(
        self, buffer: bytes | bytearray, position: int, end: int
    ) -> tuple[int, bool, int, int] | None:
        """Read and check a header: opcode, FIN, length, where the payload starts; None: not here whole.

        RFC 6455 section 5.2. Each rule is applied as soon as the bytes that break it are there.
        """
        if end - position < 2:
            return None
        first = buffer[position]
        length = buffer[position + 1] & 0x7F
        opcode = first & 0x0F
        final = first >= 0x80
        if first & 0x70 and not self._allows(first):
            raise self._broken("a reserved bit is set")
        if buffer[position + 1] < 0x80:
            # Section 5.1: "a server MUST close the connection upon receiving a frame that is not masked".
            raise self._broken("a frame is not masked")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise self._broken(f"opcode {opcode} is reserved")
            if not final:
                raise self._broken("a control frame is fragmented")
            if length > MAX_CONTROL:
                raise self._broken("a control frame is longer than 125 bytes")
        else:
            self._check_order(opcode)
        start = position + 6
        if length >= 126:
            # "The minimal number of bytes MUST be used to encode the length".
            width, least = (2, 126) if length == 126 else (8, 0x10000)
            start += width
            if end - position < 2 + width:
                return None
            length = int.from_bytes(buffer[position + 2 : position + 2 + width], "big")
            if length < least:
                raise self._broken("a length is not in its shortest form")
        if opcode < CLOSE:
            # A length of 2^63 and more is an error by itself; it is refused here like any that is too big.
            if length > self._room(first):
                raise self._fail(1009, f"a message is longer than {self._max_message} bytes")
        return (opcode, final, length, start) if start <= end else None

    # What an extension changes.

    def _allows(self, first: int) -> bool:
        """Whether the reserved bits of a first byte mean something here."""
        return False

    def _room(self, first: int) -> int:
        """Return how long a data frame may be."""
        return self._max_message if self._message is None else self._max_message - self._message.size

    def _compressed(self, is_text: bool) -> Unfinished:
        """Begin a message whose first frame has RSV1 set."""
        raise NotImplementedError

    # Below: the rest of how it is done.

    def _check_order(self, opcode: int) -> None:
        """Check a data frame against the message that is open (RFC 6455 section 5.4)."""
        message = self._message
        if opcode > BINARY:
            raise self._broken(f"opcode {opcode} is reserved")
        if opcode == CONTINUATION:
            if message is None:
                raise self._broken("a continuation frame continues nothing")
            if message.frames >= self._max_fragments:
                raise self._fail(1008, f"a message has more than {self._max_fragments} frames")
        elif message is not None:
            raise self._broken("a message begins before the last one ended")

    def _control(self, opcode: int, payload: bytes) -> Event:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        # Section 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned
        # integer"; the rest is UTF-8.
        if not payload:
            close = Close(1005, "")
        else:
            code = int.from_bytes(payload[:2], "big")  # of one byte, and so no valid one, where one is all
            if not is_close_code(code):
                raise self._broken("a close frame has no valid code")
            try:
                close = Close(code, payload[2:].decode())
            except UnicodeDecodeError as error:
                raise self._fail(1007, "a close reason is not UTF-8") from error
        self._shut()
        return close

    def _message_event(self, is_text: bool, payload: bytes | bytearray) -> Event:
        if not is_text:
            return bytes(payload)
        try:
            return payload.decode()
        except UnicodeDecodeError as error:
            raise self._not_utf8() from error

    def _emptied(self) -> None:
        self._held = b""
        self._offset = 0
        self._ready = self._max_message if self._message is None else 0

    def _shut(self) -> None:
        self.closed = True
        self._held = b""
        self._offset = self._ready = 0
        self._message = None

    def _fail(self, code: int, reason: str) -> ProtocolError:
        self._shut()
        return ProtocolError(code, reason)

    def _broken(self, reason: str) -> ProtocolError:
        return self._fail(1002, reason)

    def _not_utf8(self) -> ProtocolError:
        return self._fail(1007, "a text message is not UTF-8")


class Unfinished:
    """A data message that is not here whole, unmasked as far as it is."""

    __slots__ = (
        "_mask",
        "_parts",
        "_split",
        "_tail",
        "final",
        "frames",
        "in_frame",
        "is_text",
        "remaining",
        "size",
    )

    def __init__(self, is_text: bool) -> None:
        self.is_text = is_text
        # Tiny pieces are gathered, for each would cost far more than its bytes. Large ones stay as they are:
        # a thousand buffers that all grow leave holes between them, which took a quarter of the memory.
        self._parts: list[bytes | bytearray] = []
        self._tail = bytearray()
        self._split: bytes | bytearray = b""
        self.size = 0
        self.frames = 0

    @property
    def data(self) -> bytes:
        """The payload so far, in one piece."""
        return b"".join((*self._parts, self._tail))

    def begin(self, final: bool, length: int, mask: bytes | bytearray) -> None:
        """Begin a frame."""
        self.final = final
        self.frames += 1
        self.remaining = length
        self.in_frame = True
        self._mask = mask

    def add(self, masked: bytes | bytearray) -> bool:
        """Add a part of the frame; False from the first byte that cannot be UTF-8.

        RFC 6455 section 8.1 fails the connection for bytes that are not UTF-8; doing it at once leaves
        nothing of a broken message to be kept.
        """
        return self.extend(self.unmask(masked))

    def unmask(self, masked: bytes | bytearray) -> bytes:
        """Take a part of the frame and return it unmasked."""
        size = len(masked)
        piece = apply_mask(masked, self._mask)
        self.remaining -= size
        if self.remaining:
            turn = size & 3
            self._mask = self._mask[turn:] + self._mask[:turn]
        else:
            self.in_frame = False
        return piece

    def extend(self, piece: bytes | bytearray) -> bool:
        """Add bytes to the message; False as `add`."""
        self.size += len(piece)
        self._keep(piece)
        if not self.is_text:
            return True
        if self._split:
            # At most three bytes were waiting for the rest of their character.
            piece = self._split + piece
        try:
            waiting = self._split = piece[utf_8_decode(piece, "strict", False)[1] :]
        except UnicodeDecodeError:
            return False
        # The decoder holds back the first two bytes of a surrogate, and those alone, as if a third could
        # make them right; RFC 3629 section 3 has none.
        return len(waiting) < 2 or waiting[0] != 0xED or waiting[1] < 0xA0

    def _keep(self, piece: bytes | bytearray) -> None:
        if len(piece) < LARGE:
            self._tail += piece
            if len(self._tail) < 8 * LARGE:
                return
        elif not self._tail:
            self._parts.append(piece)
            return
        self._parts.append(self._tail)
        self._tail = bytearray()
        if len(piece) >= LARGE:
            self._parts.append(piece)
