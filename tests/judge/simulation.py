"""Histories that are as promised, made at random: the checker must acquit them, mutations start from them.

A small model of three nodes, with latency, faults, a killed node and a store that forgets. It shares nothing
with the checker but the form of the logs.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.judge.logs import Accepted, Declared, Event, Fault, Kind, Logs, Publication

__all__ = ["RECOVER", "SETTLE", "simulate"]

SETTLE = 1.0
RECOVER = 1.0
LATENCY = 0.4
NODES = ("a", "b", "c")
PLAIN = ("news", "chat")
STORED = ("orders", "votes")
KEPT = 6
"""Entries that the store keeps of a topic."""


@dataclass(eq=False)
class Listening:
    """A receiver on one topic."""

    topic: str
    confirmed: bool = False
    arrivals: dict[str, float] = field(default_factory=dict)


@dataclass(eq=False)
class Client:
    """A receiver: where it is connected, to what it listens, and which positions it knows."""

    name: str
    node: str | None = None
    listens: dict[str, Listening] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    """By publication: the node on which it came."""
    unread: list[Callable[[], None]] | None = None


class Store:
    """The history of one topic."""

    def __init__(self) -> None:
        self.epochs = itertools.count(1)
        self.forget()

    def forget(self) -> None:
        self.epoch, self.top = f"e{next(self.epochs)}", 0
        self.entries: list[tuple[int, Publication]] = []

    @property
    def position(self) -> str:
        return f"{self.epoch}:{self.top}"

    def append(self, publication: Publication) -> str:
        self.top += 1
        self.entries = [*self.entries, (self.top, publication)][-KEPT:]
        return self.position

    def behind(self, since: str) -> list[tuple[int, Publication]] | None:
        """Return what came behind a position, or None where that is not whole."""
        epoch, offset = since.split(":")
        missed = [entry for entry in self.entries if entry[0] > int(offset)]
        whole = epoch == self.epoch and len(missed) == self.top - int(offset)
        return missed if whole else None


class Simulation:
    """One run: `steps` random deeds, then quiet, then everybody leaves."""

    def __init__(self, random: Random, faults: bool) -> None:
        self.random = random
        self.now = 0.0
        self.logs = Logs(stored=frozenset(STORED))
        self.clients = [Client(f"r{number}") for number in range(4)]
        self.numbers: dict[str, itertools.count[int]] = defaultdict(itertools.count)
        self.stores = {topic: Store() for topic in STORED}
        self.pending: list[tuple[float, int, Client, Listening, str, Callable[[], None]]] = []
        self.order = itertools.count()
        self.fault: Fault | None = None
        self.lost: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.recent: list[Publication] = []
        self.refused: dict[str, int] = defaultdict(int)
        deeds = {self.publish: 60, self.join: 15, self.part: 4, self.reconnect: 6, self.stall: 4}
        deeds.update({self.forget: 1} if random.random() < 0.3 else {})
        deeds.update({self.disturb: 3, self.kill: 1} if faults else {})
        self.deeds, self.weights = list(deeds), list(deeds.values())

    def run(self, steps: int) -> Logs:
        for _ in range(steps):
            self.advance(self.random.uniform(0.0, 0.2))
            self.random.choices(self.deeds, self.weights)[0]()
        for client in self.clients:
            self.resume(client)
        self.advance(5.0)
        for client in self.clients:
            if client.node is not None:
                self.close(client, self.random.random() < 0.5)
        for (node, other), ids in self.lost.items():
            self.logs.add(Declared(node, len(ids), other))
        for node, count in self.refused.items():
            self.logs.add(Declared(node, count))
        return self.logs

    # What may happen.

    def publish(self) -> None:
        topic = self.random.choice(PLAIN + STORED)
        publisher = self.random.choice(("x", "y", "z"))
        node = NODES["xyz".index(publisher)]
        number = next(self.numbers[publisher])
        id, called = f"{publisher}{number}", self.tick()
        excluded = self.random.choice(self.clients).name if self.random.random() < 0.15 else None
        publication = Publication(
            id, topic, publisher, number, node, f"d{id}", called, self.tick(), excluded=excluded
        )
        if topic in STORED:
            publication = self.to_store(publication)
        else:
            self.recent = [*self.recent, publication][-5:]
            for client in self.clients:
                self.to_plain(publication, client)
        self.logs.add(publication)

    def join(self) -> None:
        client = self.random.choice(self.clients)
        if client.node is None:
            self.connect(client)
        topic = self.random.choice(PLAIN + STORED)
        if topic not in client.listens:
            self.subscribe(client, topic, None)

    def part(self) -> None:
        client = self.random.choice(self.clients)
        if client.listens and client.unread is None:
            topic = self.random.choice(list(client.listens))
            self.note(client, Kind.UNSUBSCRIBE, topic)
            self.advance(self.random.uniform(0.0, 0.1))
            self.note(client, Kind.UNSUBSCRIBED, topic)
            client.known.pop(topic, None)
            del client.listens[topic]

    def reconnect(self) -> None:
        client = self.random.choice(self.clients)
        if client.node is not None:
            self.close(client, self.random.random() < 0.5)
            return
        self.connect(client)
        for topic, position in list(client.known.items()):
            self.subscribe(client, topic, position)

    def stall(self) -> None:
        client = self.random.choice(self.clients)
        if client.node is not None and client.unread is None:
            self.note(client, Kind.STALLED)
            client.unread = []
        elif client.node is not None and self.random.random() < 0.5:
            self.resume(client)
        elif client.unread is not None:
            for take in client.unread[: len(client.unread) // 2]:
                take()
            self.close(client, True)

    def forget(self) -> None:
        topic = self.random.choice(STORED)
        store = self.stores[topic]
        store.forget()
        for client in self.clients:
            listening = client.listens.get(topic)
            if listening is not None:
                self.pending = [entry for entry in self.pending if entry[3] is not listening]
                heapq.heapify(self.pending)
                self.take(client, partial(self.told_lost, client, topic, store.position))

    def disturb(self) -> None:
        start = self.now
        if self.fault is None or start > self.fault.end + SETTLE:
            nodes = self.random.choice((("a",), ("b", "c"), ()))
            self.fault = Fault("cut", start, start + self.random.uniform(0.5, 3.0), nodes)
            self.logs.add(self.fault)

    def kill(self) -> None:
        node = self.random.choice(NODES)
        self.logs.add(Fault("kill", self.now, self.now + 0.01, (node,), counted=False))
        for client in self.clients:
            if client.node == node:
                self.close(client, True)
        kept = [entry for entry in self.pending if entry[4] != node or self.random.random() < 0.5]
        stored = [entry for entry in self.pending if entry[3].topic in STORED and entry not in kept]
        self.pending = kept + stored
        heapq.heapify(self.pending)

    # How it happens.

    def tick(self) -> float:
        self.now += 1e-6
        return self.now

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.pending and self.pending[0][0] <= until:
            arrival, _, client, listening, _, deliver = heapq.heappop(self.pending)
            self.now = max(self.now, arrival)
            if client.listens.get(listening.topic) is listening:
                self.take(client, deliver)
        self.now = max(self.now, until)

    def note(self, client: Client, kind: Kind, topic: str | None = None, **more: str | None) -> None:
        self.logs.add(Event(client.name, self.tick(), kind, topic, **more))

    def connect(self, client: Client) -> None:
        client.node = self.random.choice(NODES)
        self.note(client, Kind.CONNECTED, node=client.node)

    def close(self, client: Client, cut: bool) -> None:
        if not cut:
            self.note(client, Kind.CLOSING)
        self.note(client, Kind.CLOSED)
        client.node, client.unread = None, None
        client.listens.clear()

    def resume(self, client: Client) -> None:
        unread, client.unread = client.unread, None
        if unread is not None:
            self.note(client, Kind.RESUMED)
            for take in unread:
                take()

    def take(self, client: Client, deliver: Callable[[], None]) -> None:
        if client.unread is None:
            deliver()
        else:
            client.unread.append(deliver)

    def subscribe(self, client: Client, topic: str, since: str | None) -> None:
        listening = client.listens[topic] = Listening(topic)
        self.note(client, Kind.SUBSCRIBE, topic, position=since)
        position = None
        if topic in STORED:
            store = self.stores[topic]
            position = store.position
            missed = store.behind(since) if since is not None else []
            if missed is None:
                self.take(client, partial(self.told_lost, client, topic, position))
            for offset, publication in missed or ():
                if publication.excluded != client.name:
                    deliver = self.frame(publication, client, f"{store.epoch}:{offset}")
                    self.take(client, deliver)
            if since is None:
                client.known[topic] = position
        else:
            self.late(client, listening)
        self.advance(self.random.uniform(0.0, 0.3))
        if client.listens.get(topic) is listening:
            listening.confirmed = True
            self.note(client, Kind.SUBSCRIBED, topic, position=position if since is None else None)

    def late(self, client: Client, listening: Listening) -> None:
        """Have some come that were on their way to this node before anybody listened there."""
        for publication in self.recent:
            if (
                publication.topic == listening.topic
                and publication.called > self.now - LATENCY / 2
                and publication.node != client.node
                and publication.excluded != client.name
                and client.seen.get(publication.id) != client.node
                and self.random.random() < 0.7
            ):
                self.send(client, listening, publication, self.frame(publication, client, None))

    def told_lost(self, client: Client, topic: str, position: str | None) -> None:
        self.note(client, Kind.LOST, topic, position=position)
        if position is not None:
            client.known[topic] = position

    def to_plain(self, publication: Publication, client: Client) -> None:
        listening = client.listens.get(publication.topic)
        node = client.node
        if listening is None or node is None or publication.excluded == client.name:
            return
        if node != publication.node:
            if not listening.confirmed and self.random.random() < 0.5:
                return
            if self.is_disturbed(publication.node, node) and (
                publication.id in self.lost[publication.node, node] or self.random.random() < 0.5
            ):
                self.lost[publication.node, node].add(publication.id)
                return
        self.send(client, listening, publication, self.frame(publication, client, None))

    def to_store(self, publication: Publication) -> Publication:
        if self.random.random() < 0.08:
            return _with(publication, accepted=Accepted.NO)
        if self.is_disturbed(publication.node, "") and self.random.random() < 0.3:
            self.refused[publication.node] += 1
            return publication
        position = self.stores[publication.topic].append(publication)
        for client in self.clients:
            listening = client.listens.get(publication.topic)
            if listening is not None and publication.excluded != client.name:
                self.send(client, listening, publication, self.frame(publication, client, position))
        if self.random.random() < 0.3:
            return _with(publication, accepted=Accepted.STORED, position=position)
        return publication

    def send(
        self, client: Client, listening: Listening, publication: Publication, deliver: Callable[[], None]
    ) -> None:
        """Have a frame arrive: in order per publisher, or all in order of the store."""
        key = publication.publisher if publication.topic in PLAIN else ""
        local = client.node == publication.node and publication.topic in PLAIN
        arrival = self.now + (0.0 if local else self.random.uniform(0.0, LATENCY))
        arrival = listening.arrivals[key] = max(arrival, listening.arrivals.get(key, 0.0))
        entry = (arrival, next(self.order), client, listening, publication.node, deliver)
        heapq.heappush(self.pending, entry)

    def frame(self, publication: Publication, client: Client, position: str | None) -> Callable[[], None]:
        topic = publication.topic if position is not None and self.random.random() < 0.5 else None

        def deliver() -> None:
            self.note(
                client, Kind.FRAME, topic, id=publication.id, digest=publication.digest, position=position
            )
            client.seen[publication.id] = client.node or ""
            if position is not None:
                client.known[publication.topic] = position

        return deliver

    def is_disturbed(self, node: str, other: str) -> bool:
        fault = self.fault
        if fault is None or self.now > fault.end + RECOVER / 2:
            return False
        return not fault.nodes or node in fault.nodes or other in fault.nodes


def simulate(seed: int, steps: int = 150) -> Logs:
    """Return the logs of one run that is as promised; every second seed with faults."""
    return Simulation(Random(seed), faults=seed % 2 == 1).run(steps)


def _with(publication: Publication, **changes: object) -> Publication:
    fields = {name: getattr(publication, name) for name in publication.__struct_fields__}
    return Publication(**{**fields, **changes})
