"""What the workload drives: nodes, connections, faults; the same for hubs in process and real servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tests.judge.logs import Accepted

__all__ = ["Cluster", "Connection", "Published", "Sink"]


class Published(NamedTuple):
    """What a publisher was told."""

    accepted: Accepted
    position: str | None = None


class Sink(Protocol):
    """A receiver, as its connection tells it what comes; in order, and never while it is stalled."""

    def frame(self, payload: bytes, is_text: bool, topic: str | None, position: str | None) -> None:
        """Take a publication; the topic where frames tell it."""

    def lost(self, topic: str | None, position: str | None) -> None:
        """Hear that what was missed is gone."""

    def closed(self) -> None:
        """Hear of the end; once, whoever has made it."""


class Connection(Protocol):
    """One connection of a receiver; `node` is where it landed."""

    node: str

    async def subscribe(self, topic: str, since: str | None) -> str | None:
        """Return when every node delivers, with the position behind which it goes on, if there is one."""

    async def unsubscribe(self, topic: str) -> None:
        """Return when nothing of the topic will come any more."""

    def stall(self) -> None:
        """Read nothing until `resume`."""

    def resume(self) -> None:
        """Read on, first what has waited."""

    async def close(self) -> None:
        """Leave; `Sink.closed` was called when it returns."""


class Cluster(Protocol):
    """Nodes on one clock."""

    nodes: Sequence[str]
    stored: frozenset[str]
    """Topics with history."""
    uncounted: frozenset[str]
    """Faults that end the node which would count what they take."""

    def now(self) -> float:
        """Return the time; it never stands still between two calls."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def publish(self, node: str, topic: str, payload: bytes, is_text: bool) -> Published:
        """Publish on a node, and return when the call has; an exception: nobody knows."""

    async def connect(self, node: str, sink: Sink) -> Connection:
        """Connect a receiver; `ConnectionError` while the node is away."""

    async def begin(self, fault: str, node: str) -> None:
        """Begin a fault at a node."""

    async def end(self, fault: str, node: str) -> None:
        """End it; return when the node can be used again."""

    def lost(self) -> Mapping[tuple[str, str | None], int]:
        """Return what nodes count as lost: by node, and by the other node where they know it."""
