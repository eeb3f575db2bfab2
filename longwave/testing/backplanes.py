"""What a backplane driver is tested with: nodes that hold a real hub, and the rig that makes their drivers.

For your own driver, subclass `BackplaneRig` and let `BackplaneSuite` (`longwave.testing.backplane_suite`) and
`BackplaneFaultSuite` (`longwave.testing.backplane_faults`) run over it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from longwave.backplane.memory import MemoryBus
from longwave.hub.drivers import Backplane, Envelope, OnError
from longwave.hub.hub import Hub
from longwave.hub.outgoing import Channel
from longwave.testing.link import MEMORY, Frame, MemoryWire, settle

__all__ = ["BackplaneListener", "BackplaneNode", "BackplaneRig", "MemoryRig", "opened", "quiet", "until"]

PATIENCE = 10.0
"""Seconds in which has to come what is waited for."""
_CLOSE: Final = 5.0
_STEP: Final = 0.002
"""Seconds between two looks at something that is waited for."""


class BackplaneRig:
    """One medium and the drivers on it.

    A rig is used for one test, on one loop: `open`, `driver` for each node, `close`. `faults` names the
    optional methods that work; tests that need others are skipped.
    """

    faults: frozenset[str] = frozenset()
    """Of "cut", "pause", "kill", "inject"."""
    settle: float = 0.05
    """Seconds after which what was published has surely arrived, when nothing is wrong."""
    recover: float = 2.0
    """Seconds after a fault within which all is as before."""

    async def open(self) -> None:
        """Start the medium, or make room for this rig's own topics on one that runs."""

    async def close(self) -> None:
        """Take everything back; the drivers are closed already."""

    async def driver(self, name: str, on_error: OnError) -> Backplane:
        """Return a driver for a node that has not started.

        `on_error` is for what goes wrong outside of any call.
        """
        raise NotImplementedError

    async def cut(self, name: str) -> None:
        """Separate a node from the medium: its connections end, new ones fail."""
        raise NotImplementedError

    async def heal(self, name: str) -> None:
        """Let a node that was cut connect again."""
        raise NotImplementedError

    async def pause(self, name: str) -> None:
        """Let a node take nothing, without a word to the others."""
        raise NotImplementedError

    async def resume(self, name: str) -> None:
        """Let a paused node go on."""
        raise NotImplementedError

    async def kill(self, name: str) -> None:
        """End a driver as if its process had been killed.

        Another of the same name may follow.
        """
        raise NotImplementedError

    async def inject(self, name: str, data: bytes) -> None:
        """Have a message arrive at a node whose content no driver has written.

        It is framed as messages of the medium are.
        """
        raise NotImplementedError

    def lost(self, name: str) -> Mapping[str | None, int]:
        """Return how many publications the driver of a node says it lost.

        By the other node, to or from which they went; under None where it cannot say.
        """
        return {}

    def malformed(self, name: str) -> int:
        """Return how many malformed messages the driver of a node says it dropped."""
        return 0


class MemoryRig(BackplaneRig):
    """The rig of `longwave.backplane.memory`."""

    settle = 0.0

    def __init__(self) -> None:
        self._bus = MemoryBus()

    async def driver(self, name: str, on_error: OnError) -> Backplane:
        """Return a new member of the bus."""
        return self._bus.backplane()


class BackplaneListener:
    """A subscriber that keeps what it gets."""

    def __init__(self) -> None:
        self.channels: tuple[Channel, ...] = ()
        self.got: list[Frame] = []

    @property
    def wire(self) -> MemoryWire:
        """The wire of tests."""
        return MEMORY

    def deliver(self, piece: tuple[Frame, ...]) -> None:
        """Keep what the hub hands over."""
        self.got.extend(piece)

    @property
    def payloads(self) -> list[bytes]:
        """The payloads so far."""
        return [frame.payload for frame in self.got]

    async def wait(self, count: int = 1) -> None:
        """Return when so many publications have come; `AssertionError` after 10 s."""
        await until(lambda: len(self.got) >= count, f"publication {count} of a listener")


class BackplaneNode:
    """A hub with a driver.

    `envelopes` is what the driver delivered, `errors` what went wrong.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors: list[tuple[BaseException, str]] = []
        self.envelopes: list[Envelope] = []
        self.driver: Backplane
        self.hub: Hub

    def failed(self, error: BaseException, stage: str) -> None:
        """Note an error."""
        self.errors.append((error, stage))

    def received(self, envelope: Envelope) -> None:
        """Take what the driver delivers."""
        self.envelopes.append(envelope)
        self.hub.received(envelope)

    async def start(self, rig: BackplaneRig) -> None:
        """Make the driver and connect the hub to it."""
        self.driver = await rig.driver(self.name, self.failed)
        schedule = asyncio.get_running_loop().call_soon
        self.hub = Hub(schedule, self.failed, backplane=self.driver, node=self.name)
        await self.driver.start(self.received)

    async def listen(self, topic: str, namespace: str | None = None) -> BackplaneListener:
        """Subscribe a new listener, and return it when every node delivers here."""
        listener, done = self.listen_soon(topic, namespace)
        if done is not None:
            await done
        return listener

    def listen_soon(
        self, topic: str, namespace: str | None = None
    ) -> tuple[BackplaneListener, Awaitable[None] | None]:
        """Subscribe a new listener.

        The second value is done when every node delivers here.
        """
        listener = BackplaneListener()
        return listener, self.hub.subscribe(listener, topic, namespace)

    def publish(self, topic: str, data: str | bytes, namespace: str | None = None) -> None:
        """Publish to all nodes."""
        payload = data.encode() if isinstance(data, str) else data
        self.hub.publish(topic, payload, isinstance(data, str), namespace)


@contextlib.asynccontextmanager
async def opened(rig: BackplaneRig, *names: str) -> AsyncIterator[list[BackplaneNode]]:
    """Open a rig with started nodes; at the end close them all: no task may be left."""
    before = asyncio.all_tasks()
    await rig.open()
    nodes = [BackplaneNode(name) for name in names]
    started: list[BackplaneNode] = []
    try:
        for node in nodes:
            await node.start(rig)
            started.append(node)
        yield nodes
    finally:
        for node in started:
            with contextlib.suppress(TimeoutError):
                # As an application does: who stands still must not hold up the end.
                async with asyncio.timeout(_CLOSE):
                    await node.driver.close()
        await rig.close()
        await settle()
        left = asyncio.all_tasks() - before
    assert not left, f"tasks are left after close(): {left}"


async def until(condition: Callable[[], object], what: str, seconds: float | None = None) -> None:
    """Return when a condition holds; `AssertionError` past the time."""
    seconds = PATIENCE if seconds is None else seconds
    end = time.monotonic() + seconds
    await settle()
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about within {seconds:g} s"
        await asyncio.sleep(_STEP)


async def quiet(rig: BackplaneRig) -> None:
    """Wait until what is on its way has arrived."""
    await settle()
    if rig.settle:
        await asyncio.sleep(rig.settle)
