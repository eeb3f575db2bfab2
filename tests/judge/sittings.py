"""A receiver's log cut into sittings: the times in which it listened to one topic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.judge.logs import Event, Kind, Publication

__all__ = ["Sitting", "Stray", "sit"]


@dataclass(slots=True)
class Sitting:
    """One subscription of one receiver, from asking to the end.

    `left` is when it asked to leave or its connection ended.
    """

    receiver: str
    topic: str
    node: str
    asked: Event
    confirmed: float = math.inf
    position: str | None = None
    left: float = math.inf
    ended: Event | None = None
    stalled: float = math.inf
    resumed: float = math.inf
    seen: list[Event] = field(default_factory=list)
    """Its frames and its notices of loss, in order."""

    @property
    def since(self) -> str | None:
        """The position behind which it asked to go on."""
        return self.asked.position

    def owed_until(self, settle: float) -> float:
        """Return the time up to which what was published must have come.

        What was published within `settle` of the end may have been on its way. Who did not read until the
        end, and was closed for it or left, knows that it missed something.
        """
        end = self.left
        if end - self.resumed <= settle:
            end = min(end, self.stalled)
        return end - settle


@dataclass(slots=True)
class Stray:
    """A frame for which there is no sitting; `known` says that its topic was listened to at another time."""

    event: Event
    publication: Publication | None
    known: bool


def sit(
    events: Sequence[Event], publications: Mapping[str, Publication]
) -> tuple[list[Sitting], list[Stray]]:
    """Cut the log of one receiver; what is still open at its end has no end."""
    sittings: list[Sitting] = []
    strays: list[Stray] = []
    open_: dict[str, Sitting] = {}
    known: set[str] = set()
    node = ""
    pause = math.inf, math.inf
    for event in events:
        topic = event.topic
        match event.kind:
            case Kind.CONNECTED:
                node, pause = event.node or "", (math.inf, math.inf)
            case Kind.SUBSCRIBE if topic is not None and topic not in open_:
                open_[topic] = Sitting(event.receiver, topic, node, event)
                sittings.append(open_[topic])
                known.add(topic)
            case Kind.SUBSCRIBED if topic in open_:
                sitting = open_[topic]
                sitting.confirmed = min(sitting.confirmed, event.time)
                sitting.position = sitting.position or event.position
            case Kind.FRAME:
                publication = publications.get(event.id or "")
                of = publication.topic if publication is not None else None
                if of is None or of not in open_ or topic not in (None, of):
                    strays.append(Stray(event, publication, of in known and topic in (None, of)))
                else:
                    open_[of].seen.append(event)
            case Kind.LOST:
                for sitting in _concerned(open_, topic):
                    sitting.seen.append(event)
            case Kind.UNSUBSCRIBE if topic in open_:
                open_[topic].left = min(open_[topic].left, event.time)
            case Kind.UNSUBSCRIBED if topic in open_:
                _end(open_.pop(topic), event, pause)
            case Kind.STALLED:
                pause = event.time, math.inf
            case Kind.RESUMED:
                pause = pause[0], event.time
            case Kind.CLOSING:
                for sitting in open_.values():
                    sitting.left = min(sitting.left, event.time)
            case Kind.CLOSED:
                for sitting in open_.values():
                    _end(sitting, event, pause)
                open_.clear()
            case _:
                pass
    return sittings, strays


def _concerned(open_: Mapping[str, Sitting], topic: str | None) -> Iterator[Sitting]:
    for name, sitting in open_.items():
        if topic in (None, name):
            yield sitting


def _end(sitting: Sitting, event: Event, pause: tuple[float, float]) -> None:
    sitting.left = min(sitting.left, event.time)
    sitting.ended = event
    sitting.stalled, sitting.resumed = pause
