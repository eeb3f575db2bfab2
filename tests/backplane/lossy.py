"""A backplane in memory that can be cut, paused, killed and fed with rubbish: our tools are tested on it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Mapping

import msgspec

from longwave.errors import BackplaneError
from longwave.hub.drivers import Backplane, Deliver, Envelope, OnError
from longwave.testing.backplanes import BackplaneRig

__all__ = ["LossyBackplane", "LossyBus", "LossyRig"]

WAITING = 300
"""Messages that may wait for a node that is paused; then the oldest is lost, and counted."""


class LossyBus:
    """The members by name, and who is cut off."""

    def __init__(self) -> None:
        self.members: dict[str, LossyBackplane] = {}
        self.off: set[str] = set()

    def is_open(self, *names: str) -> bool:
        """Whether none of these is cut off."""
        return self.off.isdisjoint(names)


class LossyBackplane:
    """Carries envelopes as bytes; what it cannot carry it counts, by the node that it was for."""

    def __init__(self, bus: LossyBus, name: str, on_error: OnError) -> None:
        self.name = name
        self.topics: set[str] = set()
        self.paused = False
        self.waiting: deque[bytes] = deque()
        self.lost: Counter[str | None] = Counter()
        self.malformed = 0
        self.on_error = on_error
        self._bus = bus
        self._deliver: Deliver | None = None

    async def start(self, deliver: Deliver) -> None:
        """Join the bus."""
        if self._deliver is not None:
            raise BackplaneError("started already")
        self._deliver = deliver
        self._bus.members[self.name] = self

    def publish(self, envelope: Envelope) -> None:
        """Pass an envelope to all that watch its topic and are not cut off from here."""
        if self._deliver is None:
            raise BackplaneError("not started")
        data = msgspec.msgpack.encode(envelope)
        for member in list(self._bus.members.values()):
            if member is self or envelope.topic not in member.topics:
                continue
            if self._bus.is_open(self.name, member.name):
                asyncio.get_running_loop().call_soon(member.take, data)
            else:
                self.lost[member.name] += 1

    async def close(self) -> None:
        """Leave the bus."""
        self.end()

    def watch(self, topic: str) -> Awaitable[None]:
        """Receive a topic, at once."""
        self.topics.add(topic)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def unwatch(self, topic: str) -> None:
        """Receive a topic no longer."""
        self.topics.discard(topic)

    def take(self, data: bytes) -> None:
        """Take a message of the bus."""
        if self._deliver is None:
            return
        if self.paused:
            if len(self.waiting) == WAITING:
                self._count_lost(self.waiting.popleft())
            self.waiting.append(data)
            return
        try:
            envelope = msgspec.msgpack.decode(data, type=Envelope)
        except msgspec.DecodeError:
            self.malformed += 1
            return
        if envelope.topic in self.topics:
            self._deliver(envelope)

    def resume(self) -> None:
        """Take what has waited."""
        self.paused = False
        waiting, self.waiting = self.waiting, deque()
        for data in waiting:
            self.take(data)

    def end(self) -> None:
        """Be gone, in order or not."""
        if self._bus.members.get(self.name) is self:
            del self._bus.members[self.name]
        self._deliver = None

    def _count_lost(self, data: bytes) -> None:
        self.lost[msgspec.msgpack.decode(data, type=Envelope).node] += 1


class LossyRig(BackplaneRig):
    """All faults there are."""

    faults = frozenset({"cut", "pause", "kill", "inject"})
    settle = 0.0
    recover = 0.0

    def __init__(self) -> None:
        self.bus = LossyBus()
        self.drivers: dict[str, LossyBackplane] = {}

    async def driver(self, name: str, on_error: OnError) -> Backplane:
        """Return a member of the bus."""
        self.drivers[name] = LossyBackplane(self.bus, name, on_error)
        return self.drivers[name]

    async def cut(self, name: str) -> None:
        """Let nothing pass to or from a node."""
        self.bus.off.add(name)
        self.drivers[name].on_error(BackplaneError("cut off"), "connect")

    async def heal(self, name: str) -> None:
        """Let it pass again."""
        self.bus.off.discard(name)

    async def pause(self, name: str) -> None:
        """Keep what comes for a node."""
        self.drivers[name].paused = True

    async def resume(self, name: str) -> None:
        """Hand it over."""
        self.drivers[name].resume()

    async def kill(self, name: str) -> None:
        """End a driver without its knowledge."""
        self.drivers[name].end()

    async def inject(self, name: str, data: bytes) -> None:
        """Have bytes arrive."""
        self.drivers[name].take(data)

    def lost(self, name: str) -> Mapping[str | None, int]:
        """Return what the driver counted."""
        return self.drivers[name].lost

    def malformed(self, name: str) -> int:
        """Return what the driver counted."""
        return self.drivers[name].malformed
