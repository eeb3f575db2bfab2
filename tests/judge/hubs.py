"""A cluster of hubs in this process, on any backplane that has a rig; the clock may be a fake."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from longwave.contract import Link
from longwave.hub.outgoing import Channel
from longwave.limits import Limits
from longwave.testing.backplanes import BackplaneNode, BackplaneRig
from longwave.testing.clock import FakeClock
from longwave.testing.link import MEMORY, Frame, MemoryLink, MemoryWire
from longwave.types import SlowPolicy
from tests.judge.cluster import Published, Sink
from tests.judge.logs import Accepted, Logs
from tests.judge.verdicts import Rules
from tests.judge.workload import Size, plan, play

__all__ = ["HubCluster", "run_hubs"]

TICK = 1e-9
LIMITS = Limits(outgoing=4096)
"""Small, so that who stalls is closed soon."""


class HubCluster:
    """Nodes with a hub each. Faults are those of the rig; "kill" ends a node with its connections."""

    stored: frozenset[str] = frozenset()
    uncounted = frozenset({"kill"})

    def __init__(self, rig: BackplaneRig, nodes: Sequence[str], clock: FakeClock | None = None) -> None:
        self.nodes = nodes
        self._rig = rig
        self._clock = clock
        self._ticks = 0
        self._nodes: dict[str, BackplaneNode] = {}
        self._open: dict[HubConnection, None] = {}
        self._lost: Counter[tuple[str, str | None]] = Counter()

    async def start(self) -> None:
        """Start the medium and all nodes."""
        await self._rig.open()
        for name in self.nodes:
            await self._start(name)

    async def stop(self) -> None:
        """Close all drivers and the medium."""
        for node in self._nodes.values():
            await node.driver.close()
        await self._rig.close()

    def now(self) -> float:
        """Return the time, a little later each time."""
        self._ticks += 1
        now = asyncio.get_running_loop().time() if self._clock is None else self._clock.now()
        return now + self._ticks * TICK

    async def sleep(self, seconds: float) -> None:
        """Wait for the clock."""
        await (asyncio.sleep(seconds) if self._clock is None else self._clock.sleep(seconds))

    async def publish(self, node: str, topic: str, payload: bytes, is_text: bool) -> Published:
        """Publish on a node; `ConnectionError` while it is down."""
        if node not in self._nodes:
            return Published(Accepted.NO)
        self._nodes[node].hub.publish(topic, payload, is_text)
        return Published(Accepted.YES)

    async def connect(self, node: str, sink: Sink) -> HubConnection:
        """Connect a receiver to a hub."""
        if node not in self._nodes:
            raise ConnectionError(f"{node} is down")
        connection = HubConnection(self._nodes[node], sink)
        self._open[connection] = None
        return connection

    async def begin(self, fault: str, node: str) -> None:
        """Begin a fault at a node."""
        if fault == "kill":
            gone = self._nodes.pop(node)
            self._count(node)
            await self._rig.kill(node)
            for connection in list(self._open):
                if connection.of is gone:
                    connection.link.abort()
        elif fault == "cut":
            await self._rig.cut(node)
        else:
            await self._rig.pause(node)

    async def end(self, fault: str, node: str) -> None:
        """End a fault."""
        if fault == "kill":
            await self._start(node)
        elif fault == "cut":
            await self._rig.heal(node)
        else:
            await self._rig.resume(node)

    def lost(self) -> Mapping[tuple[str, str | None], int]:
        """Return what drivers count, also those that were killed."""
        for name in self._nodes:
            self._count(name)
        return self._lost

    async def _start(self, name: str) -> None:
        node = BackplaneNode(name)
        await node.start(self._rig)
        self._nodes[name] = node

    def _count(self, name: str) -> None:
        for other, count in self._rig.lost(name).items():
            self._lost[name, other] += count


class HubConnection:
    """A subscriber of a hub with an outgoing buffer as a server has it; past its bound it is closed."""

    def __init__(self, of: BackplaneNode, sink: Sink) -> None:
        self.of = of
        self.node = of.name
        self.channels: tuple[Channel, ...] = ()
        self.link = MemoryLink(self, MEMORY, LIMITS, SlowPolicy.CLOSE)
        self._sink = sink
        self._reading = asyncio.Event()
        self._reading.set()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @property
    def wire(self) -> MemoryWire:
        """The wire of tests."""
        return MEMORY

    def deliver(self, piece: tuple[Frame, ...]) -> None:
        """Write what the hub hands over."""
        self.link.write(piece)

    async def subscribe(self, topic: str, since: str | None) -> str | None:
        """Subscribe in the hub, and wait for the backplane."""
        done = self.of.hub.subscribe(self, topic)
        if done is not None:
            await done
        return None

    async def unsubscribe(self, topic: str) -> None:
        """Unsubscribe, and take what was written before."""
        self.of.hub.settle(self)
        self.of.hub.unsubscribe(self, topic)
        self._take()

    def stall(self) -> None:
        """Leave what comes in the buffer."""
        self._reading.clear()

    def resume(self) -> None:
        """Take it."""
        self._reading.set()

    async def close(self) -> None:
        """Go away."""
        self.link.abort()
        self._reading.set()
        await self._reader

    # A session of the link.

    def opened(self, link: Link) -> None:
        """Not called: the link is made here."""

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Not called: nothing is sent."""

    def pinged(self, data: bytes) -> None:
        """Not called."""

    def ponged(self, data: bytes) -> None:
        """Not called."""

    def drained(self) -> None:
        """There is room again."""

    def closed(self, code: int, reason: str) -> None:
        """The link has ended."""
        self.of.hub.leave(self)

    async def _read(self) -> None:
        while True:
            await self.link.wait()
            await self._reading.wait()
            self._take()
            if self.link.outcome is not None:
                self._sink.closed()
                return

    def _take(self) -> None:
        for piece in self.link.take():
            for frame in piece:
                self._sink.frame(frame.payload, frame.is_text, None, None)


def run_hubs(
    rig: BackplaneRig,
    seed: int,
    size: Size,
    rules: Rules,
    *,
    nodes: Sequence[str] = ("a", "b", "c"),
    real_time: bool = False,
) -> Logs:
    """Play the workload of a seed on hubs in this process; return the logs.

    Drivers with sockets need `real_time`, and rules that grant what a busy machine takes.
    """

    async def main() -> Logs:
        clock = None if real_time else FakeClock()
        cluster = HubCluster(rig, nodes, clock)
        await cluster.start()
        playing = asyncio.create_task(play(cluster, plan(seed, nodes, size), rules))
        try:
            while clock is not None and not playing.done():
                await clock.advance(1.0)
            return await playing
        finally:
            playing.cancel()
            await cluster.stop()

    return asyncio.run(main())
