"""The WebSocket wire under ASGI: a piece is a list of `websocket.send` messages.

The body of a response needs no wire of its own here: the wires of `core/sse.py` without chunks make the
bytes, and the link puts what it takes together into one `http.response.body` message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from longwave.types import Publication

__all__ = ["ASGI_WS", "AsgiWsWire", "Messages"]


class Messages(list[dict[str, Any]]):
    """`websocket.send` messages in order; the bytes of payloads are counted once."""

    __slots__ = ("size",)

    size: int

    def split(self) -> list[Messages]:
        """Return them as pieces of one message each."""
        if len(self) == 1:
            return [self]
        pieces = []
        for message in self:
            piece = Messages((message,))
            text = message.get("text")
            piece.size = len(message["bytes"]) if text is None else len(text.encode())
            pieces.append(piece)
        return pieces


class AsgiWsWire:
    """Makes `websocket.send` messages; one object, `ASGI_WS`, serves all links."""

    __slots__ = ()

    def encode(self, outgoing: Publication) -> Messages:
        """Return the piece of one publication; all its receivers share it."""
        return self.frame(outgoing.payload, outgoing.is_text)

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> Messages:
        """Return the piece of one message."""
        if is_text:
            piece = Messages(({"type": "websocket.send", "text": payload.decode()},))
        else:
            piece = Messages(({"type": "websocket.send", "bytes": payload},))
        piece.size = len(payload)
        return piece

    def join(self, pieces: Sequence[Messages]) -> Messages:
        """Return the messages of all pieces in order."""
        joined = Messages(message for piece in pieces for message in piece)
        joined.size = sum(piece.size for piece in pieces)
        return joined

    def size(self, piece: Messages) -> int:
        """Return the bytes of the payloads."""
        return piece.size


ASGI_WS: Final = AsgiWsWire()
"""The one object, so that the hub encodes once for all links under ASGI."""
