"""A backplane between hubs of one process: for tests, and the shortest driver to read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from longwave.errors import BackplaneError
from longwave.hub.drivers import Deliver, Envelope

__all__ = ["MemoryBackplane", "MemoryBus"]


class MemoryBus:
    """What connects `MemoryBackplane`s.

    Make one, and one backplane of it per application.
    """

    def __init__(self) -> None:
        self.members: list[MemoryBackplane] = []

    def backplane(self) -> MemoryBackplane:
        """Return a new backplane on this bus."""
        return MemoryBackplane(self)


class MemoryBackplane:
    """Carries envelopes to the other members of its bus, at the next turn of the loop."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._deliver: Deliver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.topics: set[str] = set()

    async def start(self, deliver: Deliver) -> None:
        """Join the bus; raises `BackplaneError` for the second time."""
        if self._deliver is not None:
            raise BackplaneError("the backplane is started already: make one for each application")
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._bus.members.append(self)

    def publish(self, envelope: Envelope) -> None:
        """Pass an envelope to every member that watches its topic.

        Raises when this one has not started.
        """
        if self._deliver is None:
            raise BackplaneError("the backplane is not started: publish after App.startup()")
        for member in list(self._bus.members):
            if member is not self and envelope.topic in member.topics and member._loop is not None:
                # One whose loop was closed without a word is gone.
                with contextlib.suppress(RuntimeError):
                    member._loop.call_soon_threadsafe(member._receive, envelope)

    async def close(self) -> None:
        """Leave the bus."""
        if self._deliver is not None:
            self._bus.members.remove(self)
            self._deliver = None
            self.topics.clear()

    def watch(self, topic: str) -> Awaitable[None]:
        """Start to receive a topic; counts at once."""
        self.topics.add(topic)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def unwatch(self, topic: str) -> None:
        """Stop to receive a topic."""
        self.topics.discard(topic)

    def _receive(self, envelope: Envelope) -> None:
        if self._deliver is not None:
            self._deliver(envelope)
