"""What a run leaves behind: every call and every frame, as data that knows no engine.

Times are of one clock for all who write, in its own unit: seconds of the machine, or of a fake clock. A time
noted before a call is a lower bound of what the call does, one noted after its answer an upper bound.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

__all__ = ["Accepted", "Declared", "Event", "Fault", "Kind", "Logs", "Publication", "Record", "digest_of"]


class Accepted(enum.StrEnum):
    """What the publisher was told."""

    YES = "accepted"
    """The call returned; on a topic with history the store may have taken it or not."""
    STORED = "stored"
    """The store has it: its position came back."""
    NO = "refused"
    """The call failed: nobody may ever see it."""
    UNKNOWN = "unknown"
    """The publisher ended before it heard."""


class Publication(Struct, frozen=True, tag="publication"):
    """One publication, by its publisher.

    `number` counts up for a publisher; `excluded` is a receiver that must not get it (its own client).
    A record with the id of an earlier one replaces it: one may be written before the call, one after it.
    """

    id: str
    topic: str
    publisher: str
    number: int
    node: str
    digest: str
    called: float
    returned: float | None = None
    accepted: Accepted = Accepted.YES
    position: str | None = None
    excluded: str | None = None


class Kind(enum.StrEnum):
    """What a receiver notes."""

    CONNECTED = "connected"
    SUBSCRIBE = "subscribe"
    """Asked; with a `position`: go on behind it, and what was missed first."""
    SUBSCRIBED = "subscribed"
    """Every node delivers from now on; with a `position`: behind this one."""
    FRAME = "frame"
    LOST = "lost"
    """Told that what was missed is gone; with a `position`: it goes on behind this one."""
    UNSUBSCRIBE = "unsubscribe"
    """Asked to leave."""
    UNSUBSCRIBED = "unsubscribed"
    STALLED = "stalled"
    """It reads no longer; a close by the server may follow, and what came since is told lost by it."""
    RESUMED = "resumed"
    CLOSING = "closing"
    """It ends the connection itself."""
    CLOSED = "closed"


class Event(Struct, frozen=True, tag="event"):
    """One line of a receiver; its lines are in the order in which it saw things.

    `receiver` is who it is over all its connections. `topic` of a frame is None where frames do not tell.
    """

    receiver: str
    time: float
    kind: Kind
    topic: str | None = None
    node: str | None = None
    id: str | None = None
    digest: str | None = None
    position: str | None = None


class Fault(Struct, frozen=True, tag="fault"):
    """A disturbance from `start` to `end` of some nodes, or (none named) of all.

    `counted` False: who would count what is lost ends with it, as when a node is killed.
    """

    kind: str
    start: float
    end: float
    nodes: tuple[str, ...] = ()
    counted: bool = True

    def concerns(self, *nodes: str) -> bool:
        """Whether it disturbs one of these nodes."""
        return not self.nodes or any(node in self.nodes for node in nodes)


class Declared(Struct, frozen=True, tag="declared"):
    """A node says in its counters that it lost publications: to or from one other node, or whichever."""

    node: str
    count: int
    other: str | None = None


Record: TypeAlias = Publication | Event | Fault | Declared


@dataclass(slots=True)
class Logs:
    """Everything of one run; `stored` are the topics that have history."""

    stored: frozenset[str] = frozenset()
    publications: dict[str, Publication] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Take one record."""
        if isinstance(record, Publication):
            self.publications[record.id] = record
        elif isinstance(record, Event):
            self.events.setdefault(record.receiver, []).append(record)
        elif isinstance(record, Fault):
            self.faults.append(record)
        else:
            self.declared.append(record)

    def extend(self, records: Iterable[Record]) -> None:
        """Take many."""
        for record in records:
            self.add(record)

    def write(self, path: Path) -> None:
        """Keep them as lines of JSON."""
        records: list[Record] = [*self.publications.values(), *self.faults, *self.declared]
        for events in self.events.values():
            records.extend(events)
        lines = [msgspec.json.encode(sorted(self.stored)), *map(msgspec.json.encode, records)]
        path.write_bytes(b"\n".join(lines) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Logs:
        """Return what `write` kept, or lines that processes wrote by themselves in that form."""
        first, *lines = path.read_bytes().splitlines()
        logs = cls(frozenset(msgspec.json.decode(first, type=list[str])))
        decode = msgspec.json.Decoder(Record).decode
        logs.extend(decode(line) for line in lines)
        return logs


def digest_of(payload: bytes, is_text: bool) -> str:
    """Return what tells one payload from another; text and binary differ."""
    return hashlib.blake2b(payload, digest_size=8, person=b"text" if is_text else b"binary").hexdigest()
