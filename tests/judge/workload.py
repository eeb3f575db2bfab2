"""What happens in a run: made from a seed, the same each time, then played on a cluster, with logs of all.

Publishers publish at a rate, receivers come, go, stall and come back, faults begin and end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.judge.cluster import Cluster, Connection, Published
from tests.judge.logs import Accepted, Declared, Event, Fault, Kind, Logs, Publication, digest_of
from tests.judge.verdicts import Rules

__all__ = ["Size", "Step", "plan", "play"]

CONFIRMED: Final = 10.0
"""Seconds in which a subscription has to be confirmed while nothing is wrong, beside the rules' times."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens; seconds are those of the cluster's clock."""

    seconds: float = 10.0
    publishers: int = 4
    receivers: int = 8
    topics: Sequence[str] = ("news", "chat", "score")
    rate: float = 10.0
    """Publications a second of each publisher."""
    deeds: float = 1.0
    """How often a second a receiver does something else than to listen."""
    largest: int = 200
    """Bytes of padding at most."""
    faults: Sequence[str] = ()
    """Kinds, each of which happens about every five seconds."""
    fault_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """At a time, an actor does something: the publisher, receiver or fault of this number."""

    time: float
    actor: str
    deed: str
    node: str = ""
    topic: str = ""
    padding: int = 0
    is_text: bool = True


def plan(seed: int, nodes: Sequence[str], size: Size) -> list[list[Step]]:
    """Return what each actor does, in order of time."""
    random = Random(seed)
    actors: list[list[Step]] = []
    for number in range(size.publishers):
        actors.append(_publisher(random, f"p{number}", nodes[number % len(nodes)], size))
    for number in range(size.receivers):
        actors.append(_receiver(random, f"r{number}", nodes, size))
    for kind in size.faults:
        actors.append(_fault(random, kind, nodes, size))
    return actors


async def play(cluster: Cluster, actors: Sequence[Sequence[Step]], rules: Rules) -> Logs:
    """Do all of it and return the logs; at the end wait until all is quiet, then everybody leaves."""
    logs = Logs(stored=cluster.stored)
    start = cluster.now()
    receivers = [Receiver(cluster, logs, steps[0].actor, rules) for steps in actors if _is_receiver(steps)]
    by_name = {receiver.name: receiver for receiver in receivers}
    running: list[Awaitable[None]] = []
    for steps in actors:
        if _is_receiver(steps):
            running.append(by_name[steps[0].actor].follow(steps, start))
        elif steps and steps[0].deed == "publish":
            running.append(_publish(cluster, logs, steps, start))
        elif steps:
            running.append(_disturb(cluster, logs, steps, start))
    await asyncio.gather(*running)
    await cluster.sleep(rules.recover + 2 * rules.settle)
    for receiver in receivers:
        receiver.resume()
    await cluster.sleep(2 * rules.settle)
    for receiver in receivers:
        await receiver.leave()
    for (node, other), count in sorted(cluster.lost().items(), key=str):
        logs.add(Declared(node, count, other))
    return logs


class Receiver:
    """A receiver over all its connections; writes its log."""

    def __init__(self, cluster: Cluster, logs: Logs, name: str, rules: Rules) -> None:
        self.name = name
        self._cluster = cluster
        self._logs = logs
        self._limit = CONFIRMED + rules.recover
        self._connection: Connection | None = None
        self._topics: set[str] = set()
        self._positions: dict[str, str | None] = {}
        self._stalled = False

    async def follow(self, steps: Iterable[Step], start: float) -> None:
        """Do what the steps say, as far as the connection is there for it."""
        for step in steps:
            await _wait_for(self._cluster, start + step.time)
            await self._do(step)

    def resume(self) -> None:
        """Read on, if it does not."""
        if self._stalled and self._connection is not None:
            self._stalled = False
            self._note(Kind.RESUMED)
            self._connection.resume()

    async def leave(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._note(Kind.CLOSING)
            await self._connection.close()

    # Called by the connection.

    def frame(self, payload: bytes, is_text: bool, topic: str | None, position: str | None) -> None:
        """Note a publication."""
        id = payload.partition(b"|")[0].decode(errors="replace")
        self._note(Kind.FRAME, topic, id=id, digest=digest_of(payload, is_text), position=position)
        publication = self._logs.publications.get(id)
        if position is not None and publication is not None:
            self._positions[publication.topic] = position

    def lost(self, topic: str | None, position: str | None) -> None:
        """Note what it is told."""
        self._note(Kind.LOST, topic, position=position)
        if topic is not None:
            self._positions[topic] = position

    def closed(self) -> None:
        """Note the end."""
        self._note(Kind.CLOSED)
        self._connection = None
        self._stalled = False
        self._topics.clear()

    # Below: its deeds.

    async def _do(self, step: Step) -> None:
        connection, topic = self._connection, step.topic
        if step.deed == "connect" and connection is None:
            await self._connect(step.node)
        elif connection is None:
            return
        elif step.deed == "subscribe" and topic not in self._topics:
            await self._subscribe(connection, topic, None)
        elif step.deed == "unsubscribe" and topic in self._topics and not self._stalled:
            self._topics.discard(topic)
            self._positions.pop(topic, None)
            self._note(Kind.UNSUBSCRIBE, topic)
            await connection.unsubscribe(topic)
            if self._connection is connection:
                self._note(Kind.UNSUBSCRIBED, topic)
        elif step.deed == "stall" and not self._stalled:
            self._stalled = True
            self._note(Kind.STALLED)
            connection.stall()
        elif step.deed == "resume":
            self.resume()
        elif step.deed == "close":
            await self.leave()

    async def _connect(self, node: str) -> None:
        try:
            connection = await self._cluster.connect(node, self)
        except ConnectionError:
            return
        self._connection = connection
        self._note(Kind.CONNECTED, node=connection.node)
        for topic, position in sorted(self._positions.items()):
            if self._connection is connection and topic not in self._topics:
                await self._subscribe(connection, topic, position)

    async def _subscribe(self, connection: Connection, topic: str, since: str | None) -> None:
        self._topics.add(topic)
        self._note(Kind.SUBSCRIBE, topic, position=since)
        asked = asyncio.ensure_future(connection.subscribe(topic, since))
        limit = asyncio.ensure_future(self._cluster.sleep(self._limit))
        await asyncio.wait((asked, limit), return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        if not asked.done():
            asked.cancel()
            raise AssertionError(f"{self.name}: {topic!r} was not confirmed in {self._limit:g} s")
        try:
            position = asked.result()
        except ConnectionError:
            return
        if self._connection is connection:
            self._note(Kind.SUBSCRIBED, topic, position=position)
            if topic in self._logs.stored and since is None:
                self._positions.setdefault(topic, position)

    def _note(self, kind: Kind, topic: str | None = None, **more: str | None) -> None:
        self._logs.add(Event(self.name, self._cluster.now(), kind, topic, **more))


async def _publish(cluster: Cluster, logs: Logs, steps: Iterable[Step], start: float) -> None:
    """Publish what the steps say; the record is there before anybody can see it."""
    for number, step in enumerate(steps):
        await _wait_for(cluster, start + step.time)
        id = f"{step.actor}-{number}"
        head = f"{id}|{step.topic}|".encode()
        filling = "ü·x".encode() if step.is_text else bytes(range(256))
        payload = head + (filling * (step.padding // len(filling) + 1))[: step.padding // 5 * 5]
        record = Publication(
            id,
            step.topic,
            step.actor,
            number,
            step.node,
            digest_of(payload, step.is_text),
            cluster.now(),
            accepted=Accepted.UNKNOWN,
        )
        logs.add(record)
        try:
            told = await cluster.publish(step.node, step.topic, payload, step.is_text)
        except ConnectionError:
            told = Published(Accepted.UNKNOWN)
        logs.add(_answered(record, told, cluster.now()))


async def _disturb(cluster: Cluster, logs: Logs, steps: Iterable[Step], start: float) -> None:
    for step in steps:
        await _wait_for(cluster, start + step.time)
        began = cluster.now()
        await cluster.begin(step.deed, step.node)
        await cluster.sleep(step.padding / 1000)
        await cluster.end(step.deed, step.node)
        is_counted = step.deed not in cluster.uncounted
        logs.add(Fault(step.deed, began, cluster.now(), (step.node,), is_counted))


def _publisher(random: Random, name: str, node: str, size: Size) -> list[Step]:
    steps: list[Step] = []
    time = random.uniform(0.0, 1.0 / size.rate)
    while time < size.seconds:
        padding = random.randrange(size.largest + 1)
        topic = random.choice(size.topics)
        steps.append(Step(time, name, "publish", node, topic, padding, random.random() < 0.7))
        # Some come in a burst, in one turn of the loop.
        time += 0.0 if random.random() < 0.1 else random.expovariate(size.rate)
    return steps


def _receiver(random: Random, name: str, nodes: Sequence[str], size: Size) -> list[Step]:
    steps = [Step(0.0, name, "connect", random.choice(nodes))]
    steps += [Step(0.0, name, "subscribe", topic=topic) for topic in size.topics if random.random() < 0.5]
    deeds = {"subscribe": 6, "unsubscribe": 3, "stall": 1, "close": 2, "connect": 4}
    time = 0.0
    while (time := time + random.expovariate(size.deeds)) < size.seconds:
        deed = random.choices(list(deeds), list(deeds.values()))[0]
        steps.append(Step(time, name, deed, random.choice(nodes), random.choice(size.topics)))
        if deed == "stall":
            time += random.uniform(0.1, 2.0)
            steps.append(Step(time, name, "resume"))
    return steps


def _fault(random: Random, kind: str, nodes: Sequence[str], size: Size) -> list[Step]:
    steps: list[Step] = []
    time = random.uniform(0.5, 2.0)
    while time + size.fault_seconds < size.seconds:
        lasts = random.uniform(0.2, 1.0) * size.fault_seconds
        steps.append(Step(time, f"fault {kind}", kind, random.choice(nodes), padding=int(lasts * 1000)))
        time += lasts + random.uniform(2.0, 6.0)
    return steps


async def _wait_for(cluster: Cluster, time: float) -> None:
    if (seconds := time - cluster.now()) > 0:
        await cluster.sleep(seconds)


def _is_receiver(steps: Sequence[Step]) -> bool:
    return bool(steps) and steps[0].deed == "connect"


def _answered(record: Publication, told: Published, now: float) -> Publication:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    is_known = told.accepted is not Accepted.UNKNOWN
    fields.update(accepted=told.accepted, position=told.position, returned=now if is_known else None)
    return Publication(**fields)
