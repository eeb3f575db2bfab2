"""Types that every room shares: what is published, how it is put on a wire, what became of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

__all__ = ["Compression", "EventWire", "Fields", "Piece", "Publication", "SendStatus", "SlowPolicy", "Wire"]

Fields: TypeAlias = list[tuple[bytes, bytes]]
"""Header fields in order: lower-case names, values without surrounding space, both latin-1 bytes."""

Piece: TypeAlias = Any
"""Something ready for one link: `bytes` on our own server, a list of ASGI messages elsewhere."""


class SendStatus(enum.Enum):
    """What became of a message that was handed over."""

    SENT = "sent"
    """Accepted; the outgoing buffer is below half its bound."""
    BUFFERED = "buffered"
    """Accepted; the outgoing buffer is above half its bound, or the call came from another thread."""
    DROPPED = "dropped"
    """Not accepted: the buffer was full, and the policy says to drop."""
    CLOSED = "closed"
    """Not accepted: the connection is closing or closed."""


class SlowPolicy(enum.Enum):
    """What happens to what others publish to a peer whose outgoing buffer is full."""

    CLOSE = "close"
    DROP_NEW = "drop_new"
    DROP_OLD = "drop_old"


class Compression(Struct, frozen=True):
    """How messages of a WebSocket are compressed where its client can (RFC 7692)."""

    context_takeover: bool = False
    """Whether what is sent may refer to messages before: smaller, but compressed for each client alone, and
    32 KiB (at 12 bits) for each."""
    client_context_takeover: bool = False
    """Whether the client may do the same: 7 KiB and its window for each."""
    window_bits: int = 12
    """Base-two logarithm of the window for what is sent, 9 to 15."""
    client_window_bits: int = 12
    """The same for what is received, where the client lets itself be told."""
    threshold: int = 256
    """Bytes of a message below which it is left alone."""

    def __post_init__(self) -> None:
        for name in ("window_bits", "client_window_bits"):
            value = getattr(self, name)
            if type(value) is not int or not 9 <= value <= 15:
                raise ValueError(f"{name} is a number from 9 to 15, not {value!r}")
        if type(self.threshold) is not int or self.threshold < 0:
            raise ValueError(f"threshold is a number of bytes, not {self.threshold!r}")


class Publication(Protocol):
    """What a wire needs to know of a publication."""

    @property
    def payload(self) -> bytes:
        """The data: UTF-8 when `is_text`."""

    @property
    def is_text(self) -> bool:
        """Whether the payload is text."""

    @property
    def topic(self) -> str:
        """The topic that it was published to."""

    @property
    def position(self) -> str | None:
        """`epoch:offset` on a topic with history, else None."""

    @property
    def compress(self) -> bool | None:
        """Whether to compress it where that was agreed on; None leaves it to the wire."""


class Wire(Protocol):
    """Turns publications into pieces for one format; pure, and one object per format."""

    def encode(self, outgoing: Publication) -> Piece:
        """Return the piece of one publication."""

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> Piece:
        """Return the piece of one message that goes to one receiver alone.

        `compress` is that of `Publication`.
        """

    def join(self, pieces: Sequence[Piece]) -> Piece:
        """Return one piece that is the given pieces in order."""

    def size(self, piece: Piece) -> int:
        """Return the length of a piece in bytes, for the bound of outgoing buffers."""


class EventWire(Wire, Protocol):
    """The wire of an event stream, which also takes events that are encoded already."""

    def raw(self, encoded: bytes) -> Piece:
        """Return the piece of encoded events or comments."""

    def named(self, events: Mapping[str, str]) -> EventWire:
        """Return the wire of the same kind that gives topics an event type."""
