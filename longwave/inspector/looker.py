"""One page that looks at the inspector: what it wants to see, and how much it is sent."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from longwave.app.service import ServiceSocket
from longwave.inspector.protocol import View

__all__ = ["FULL", "Kind", "Looker"]

Kind: TypeAlias = Literal["publication", "happening", "record"]
"""What is counted apart, so that much of one leaves nothing out of another."""

MOST = 200
"""Messages of a kind between two states."""
FULL = 256 * 1024
"""Bytes that a page has not taken, from which on it is sent nothing more."""


class Looker:
    """Sends as much as a page can show, and counts what is left out.

    `due` is when its next state is.
    """

    __slots__ = ("_counts", "_dropped", "_full", "due", "socket", "view")

    def __init__(self, socket: ServiceSocket, now: float, full: int = FULL) -> None:
        self.socket = socket
        self._full = full
        self.due = now
        self.view = View()
        self._counts: dict[Kind, int] = {}
        self._dropped = 0

    def follows(self, topic: str) -> bool:
        """Whether publications to a topic are in its tail."""
        tail = self.view.tail
        return tail is not None and tail.topic in (None, topic)

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for it that it is sent nothing more."""
        return self.socket.buffered > self._full

    def takes(self, kind: Kind) -> bool:
        """Whether there is room for a message; where there is none it is counted."""
        if self._counts.get(kind, 0) < MOST and not self.is_behind:
            return True
        self._dropped += 1
        return False

    def send(self, kind: Kind, payload: bytes) -> None:
        """Send a message for which there is room."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self.socket.send_text(payload)

    def take_dropped(self) -> int:
        """Return what was left out since the last time."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def send_state(self, state: dict[str, Any]) -> None:
        """Send a state, and begin to count anew."""
        self._counts.clear()
        self.socket.send(state)
