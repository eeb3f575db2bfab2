"""One WebSocket message as a hook sees it."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from longwave.app.values import decode_json

if TYPE_CHECKING:
    from longwave.app.peer import Peer

__all__ = ["Identified", "Message"]


class Identified:
    """Something with an id."""

    __slots__ = ("_id",)

    @property
    def id(self) -> str:
        """A random UUID (version 4), made on first use and kept."""
        try:
            return self._id
        except AttributeError:
            self._id: str = str(uuid4())
            return self._id


class Message(Identified):
    """A text or binary message from a peer.

    `raw` is what came: `str` for text, `bytes` for binary. `str(message)` is `message.text()`, `len(message)`
    is the length in characters or bytes. RFC 6455 section 5.6.
    """

    __slots__ = ("is_text", "peer", "raw")

    def __init__(self, peer: Peer, raw: str | bytes, is_text: bool) -> None:
        self.peer = peer
        self.raw = raw
        self.is_text = is_text

    @property
    def is_binary(self) -> bool:
        """Whether the message came as binary."""
        return not self.is_text

    def text(self) -> str:
        """Return the text; invalid UTF-8 of a binary message is replaced by U+FFFD."""
        raw = self.raw
        return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")

    def bytes(self) -> builtins.bytes:
        """Return the bytes; a text as UTF-8."""
        raw = self.raw
        return raw.encode() if isinstance(raw, str) else raw

    def json(self, type: Any = None) -> Any:
        """Return what the JSON text holds, checked against `type` when one is given.

        Raises `MessageError`, whose text names the path inside the document.
        """
        return decode_json(self.raw, type)

    def __str__(self) -> str:
        return self.text()

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        kind = "text" if self.is_text else "binary"
        return f"<Message {kind}, {len(self.raw)} long>"

    def __longwave_payload__(self) -> tuple[builtins.bytes, bool]:
        return self.bytes(), self.is_text
