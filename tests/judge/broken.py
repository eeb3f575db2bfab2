"""Backplanes that are broken on purpose: each wraps a good one, and commits one crime."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

from msgspec.structs import replace

from longwave.hub.drivers import Backplane, Deliver, Envelope, OnError
from longwave.testing.backplanes import BackplaneRig

__all__ = ["BROKEN", "Broken", "BrokenRig"]


class Broken:
    """A driver that passes everything on; `received` is where most crimes are committed."""

    def __init__(self, inner: Backplane, every: int = 10) -> None:
        self.inner = inner
        self.every = every
        self.count = 0
        self.topics: set[str] = set()
        self.deliver: Deliver

    async def start(self, deliver: Deliver) -> None:
        """Start."""
        self.deliver = deliver
        await self.inner.start(self.received)

    def publish(self, envelope: Envelope) -> None:
        """Pass on."""
        self.inner.publish(envelope)

    async def close(self) -> None:
        """Close."""
        await self.inner.close()

    def watch(self, topic: str) -> Awaitable[None]:
        """Watch."""
        self.topics.add(topic)
        return self.inner.watch(topic)

    def unwatch(self, topic: str) -> None:
        """Unwatch."""
        self.topics.discard(topic)
        self.inner.unwatch(topic)

    def received(self, envelope: Envelope) -> None:
        """Deliver; each tenth with a crime."""
        self.count += 1
        if self.count % self.every:
            self.deliver(envelope)
        else:
            self.commit(envelope)

    def commit(self, envelope: Envelope) -> None:
        """Do what must not be."""
        self.deliver(envelope)


class Drops(Broken):
    """Drops one in N."""

    def commit(self, envelope: Envelope) -> None:
        """Nothing."""


class Doubles(Broken):
    """Delivers one in N twice."""

    def commit(self, envelope: Envelope) -> None:
        """Twice."""
        self.deliver(envelope)
        self.deliver(envelope)


class Reorders(Broken):
    """Delivers one in N behind the next of the same node and topic."""

    held: Envelope | None = None

    def received(self, envelope: Envelope) -> None:
        """Deliver what was held behind the one that it belongs before."""
        super().received(envelope)
        held = self.held
        if held not in (None, envelope) and held.node == envelope.node and held.topic == envelope.topic:
            self.held = None
            self.deliver(held)

    def commit(self, envelope: Envelope) -> None:
        """Hold."""
        if self.held is not None:
            self.deliver(self.held)
        self.held = envelope


class Corrupts(Broken):
    """Changes the last byte of one in N."""

    def commit(self, envelope: Envelope) -> None:
        """Change it."""
        payload = envelope.payload
        self.deliver(replace(envelope, payload=payload[:-1] + bytes([payload[-1] ^ 1]) if payload else b"?"))


class Misdelivers(Broken):
    """Delivers one in N to another topic, which somebody here listens to."""

    def commit(self, envelope: Envelope) -> None:
        """Choose another topic."""
        others = sorted(self.topics - {envelope.topic})
        self.deliver(replace(envelope, topic=others[0]) if others else envelope)


class Invents(Broken):
    """Delivers, behind one in N, what nobody has published."""

    def commit(self, envelope: Envelope) -> None:
        """Invent."""
        self.deliver(envelope)
        self.deliver(replace(envelope, payload=b"phantom|"))


class Echoes(Broken):
    """Has one in N of a node's own come back, under another name."""

    def publish(self, envelope: Envelope) -> None:
        """Pass on, and take back."""
        super().publish(envelope)
        self.count += 1
        if self.count % self.every == 0:
            self.deliver(replace(envelope, node="somebody"))


class ConfirmsTooEarly(Broken):
    """Says that every node delivers before it is so: what is lost is lost around a subscribe."""

    def watch(self, topic: str) -> Awaitable[None]:
        """Watch a little later."""
        self.topics.add(topic)
        loop = asyncio.get_running_loop()
        # A moment in which other publishers have their turn, whatever the clock.
        self._later(topic, 200)
        done: asyncio.Future[None] = loop.create_future()
        done.set_result(None)
        return done

    def _later(self, topic: str, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._later, topic, turns - 1)
        elif topic in self.topics:
            self.inner.watch(topic)


class ForgetsOthers(Broken):
    """Unwatches another topic along with the one that nobody listens to any more."""

    def unwatch(self, topic: str) -> None:
        """Unwatch too much."""
        super().unwatch(topic)
        for other in sorted(self.topics)[:1]:
            self.inner.unwatch(other)


class NeverUnwatches(Broken):
    """Goes on to receive what nobody listens to."""

    def unwatch(self, topic: str) -> None:
        """Nothing."""


class CountsNothing(Broken):
    """Loses in a fault what any driver loses, and says nothing (see `BrokenRig.lost`)."""


BROKEN: dict[str, type[Broken]] = {
    kind.__name__: kind
    for kind in (
        Drops, Doubles, Reorders, Corrupts, Misdelivers, Invents, Echoes, ConfirmsTooEarly, ForgetsOthers,
        NeverUnwatches, CountsNothing,
    )
}  # fmt: skip


class BrokenRig(BackplaneRig):
    """The rig of a good driver, with all of its drivers broken in one way."""

    def __init__(self, inner: BackplaneRig, kind: type[Broken], every: int = 10) -> None:
        self.inner = inner
        self.kind = kind
        self.every = every
        self.faults = inner.faults
        self.settle = inner.settle
        self.recover = inner.recover

    async def driver(self, name: str, on_error: OnError) -> Backplane:
        """Return a broken driver."""
        return self.kind(await self.inner.driver(name, on_error), self.every)

    async def cut(self, name: str) -> None:
        """As the good one."""
        await self.inner.cut(name)

    async def heal(self, name: str) -> None:
        """As the good one."""
        await self.inner.heal(name)

    async def pause(self, name: str) -> None:
        """As the good one."""
        await self.inner.pause(name)

    async def resume(self, name: str) -> None:
        """As the good one."""
        await self.inner.resume(name)

    async def kill(self, name: str) -> None:
        """As the good one."""
        await self.inner.kill(name)

    def lost(self, name: str) -> Mapping[str | None, int]:
        """As the good one, or nothing at all."""
        return {} if self.kind is CountsNothing else self.inner.lost(name)
