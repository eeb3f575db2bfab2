"""What the hub asks of a driver that carries, stores or counts: the `Backplane`, `History`, `Presence` seams.

One driver may be several of these. None of them decides who receives what: that is the hub's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

__all__ = ["Backplane", "Deliver", "Envelope", "History", "Member", "OnError", "Page", "Position", "Presence"]

Position: TypeAlias = str
"""`epoch:offset`: where an entry stands in the history of its topic."""


class Envelope(Struct, frozen=True):
    """One publication on its way between nodes.

    `namespace` None means every namespace. `publisher` is the id of the peer that is left out, on topics
    with history, where the publisher's own node delivers what comes back. `position` is set by a store.
    `compress` is that of `publish`.
    """

    node: str
    topic: str
    payload: bytes
    is_text: bool
    namespace: str | None = None
    publisher: str | None = None
    position: Position | None = None
    compress: bool | None = None


class Page(Struct, frozen=True):
    """What a history holds after a position.

    `whole` is False when something before it is gone.
    """

    entries: Sequence[Envelope]
    position: Position
    whole: bool


class Member(Struct, frozen=True):
    """One that is present in a topic.

    Its id, what the application says of it, since when (epoch seconds).
    """

    id: str
    info: Mapping[str, Any]
    since: float


Deliver: TypeAlias = Callable[[Envelope], None]
OnError: TypeAlias = Callable[[BaseException, str], None]
"""Called with the error and the stage: "publish", "subscribe", "delivery" or "store"."""


class Backplane(Protocol):
    """Carries publications to the other hubs.

    At most once, in order per publisher and topic.
    """

    async def start(self, deliver: Deliver) -> None:
        """Connect; call `deliver` on the loop's thread for each envelope of another node.

        A start that raises leaves nothing open: `close` is not called after it.
        """

    def publish(self, envelope: Envelope) -> None:
        """Pass an envelope on without waiting; an exception goes to the hub's `on_error`."""

    async def close(self) -> None:
        """Disconnect; nothing is delivered afterwards."""

    def watch(self, topic: str) -> Awaitable[None]:
        """Start to receive a topic; the awaitable is done when every node delivers here.

        Called for every subscriber of a topic, so it is idempotent. Nobody has to await what it returns.
        """

    def unwatch(self, topic: str) -> None:
        """Stop to receive a topic."""


class History(Protocol):
    """Stores the publications of a topic and gives each its position."""

    async def append(self, envelope: Envelope, key: str | None = None) -> Position:
        """Store an envelope once per idempotency key, and return where it stands."""

    async def read(self, namespace: str | None, topic: str, since: Position | None, limit: int) -> Page:
        """Return what came after a position."""


class Presence(Protocol):
    """Knows who is present in a topic, over all nodes."""

    async def enter(self, topic: str, member: Member) -> None:
        """Add a member, or renew it."""

    async def leave(self, topic: str, member_id: str) -> None:
        """Take a member out."""

    async def list(self, topic: str) -> Sequence[Member]:
        """Return the members of a topic."""
