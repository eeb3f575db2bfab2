"""Single changes of a legal history, each a crime that the checker must find.

A change returns None where the history has no place for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeAlias, TypeVar

from msgspec.structs import replace

from tests.judge.checker import judge
from tests.judge.logs import Accepted, Event, Kind, Logs, Publication
from tests.judge.simulation import RECOVER, SETTLE
from tests.judge.sittings import Sitting, sit
from tests.judge.verdicts import Crime, Outcome, Rules

__all__ = ["MUTATIONS", "Mutation", "mutated"]

T = TypeVar("T")
Mutation: TypeAlias = Callable[[Logs, Random], Crime | None]
"""Changes the logs, and says what the checker must call it."""


def lose(logs: Logs, random: Random) -> Crime | None:
    """Take out a frame of a plain topic that came well before the end, and away from faults."""
    places = [
        (sitting, event)
        for sitting, event, publication in _frames(logs, stored=False)
        if sitting.confirmed <= publication.called
        and publication.called < sitting.left - 2 * SETTLE
        and sitting.stalled == math.inf
        and (publication.node == sitting.node or not _is_disturbed(logs, publication))
    ]
    return _take_out(logs, random, places, Crime.SILENT_LOSS)


def lose_between(logs: Logs, random: Random) -> Crime | None:
    """Take out a frame of a plain topic, however late, behind which one of the same publisher came."""
    places = [
        (sitting, event)
        for sitting, event, publication in _frames(logs, stored=False)
        if sitting.confirmed <= publication.called
        and any(
            (other.publisher, other.node) == (publication.publisher, publication.node)
            and other.number > publication.number
            for other in _publications(logs, sitting)
        )
        and (publication.node == sitting.node or not _is_disturbed(logs, publication))
    ]
    return _take_out(logs, random, places, Crime.SILENT_LOSS)


def lose_position(logs: Logs, random: Random) -> Crime | None:
    """Take out a frame of a topic with history that is followed by another."""
    places = []
    for sitting, event, publication in _frames(logs, stored=True):
        # What nobody else saw may be taken for one of the receiver's own.
        if publication.position is None and not _others_saw(logs, sitting, publication):
            continue
        at = sitting.seen.index(event)
        following = sitting.seen[at + 1 : at + 2]
        has_base = (sitting.since or sitting.position) is not None
        before = [other for other in sitting.seen[:at] if other.position is not None]
        if following and following[0].kind is Kind.FRAME and (before or (has_base and at == 0)):
            places.append((sitting, event))
    return _take_out(logs, random, places, Crime.GAP)


def lose_the_last(logs: Logs, random: Random) -> Crime | None:
    """Take out the last frame of a topic with history, long before the end and away from faults."""
    places = [
        (sitting, event)
        for sitting, event, publication in _frames(logs, stored=True)
        if event is sitting.seen[-1]
        and sitting.confirmed <= publication.called < sitting.left - 2 * SETTLE
        and sitting.stalled == math.inf
        and not _comes_back(logs, sitting)
        and not _is_disturbed(logs, publication)
    ]
    return _take_out(logs, random, places, Crime.SILENT_LOSS)


def double(logs: Logs, random: Random) -> Crime | None:
    """Have a frame come again in the same sitting."""
    place = _choose(random, list(_frames(logs)))
    if place is None:
        return None
    sitting, event, _ = place
    events = logs.events[sitting.receiver]
    last = events.index(sitting.seen[-1])
    events.insert(last + 1, replace(event, time=sitting.seen[-1].time))
    return Crime.DUPLICATE


def swap(logs: Logs, random: Random) -> Crime | None:
    """Have two frames come the wrong way round: of one publisher, or of one history."""
    places = []
    for sitting in _sittings(logs):
        for first, second in zip(sitting.seen, sitting.seen[1:], strict=False):
            one, two = (logs.publications.get(event.id or "") for event in (first, second))
            if one is None or two is None:
                continue
            same = (one.publisher, one.node) == (two.publisher, two.node)
            if same or sitting.topic in logs.stored:
                places.append((sitting, first, second))
    place = _choose(random, places)
    if place is None:
        return None
    sitting, first, second = place
    events = logs.events[sitting.receiver]
    at, behind = events.index(first), events.index(second)
    events[at], events[behind] = replace(second, time=first.time), replace(first, time=second.time)
    return Crime.REORDER


def invent(logs: Logs, random: Random) -> Crime | None:
    """Have a frame come that nobody published."""
    return _change(logs, random, lambda event, _: replace(event, id="nobody's"), Crime.PHANTOM)


def corrupt(logs: Logs, random: Random) -> Crime | None:
    """Change the content of a frame."""
    return _change(logs, random, lambda event, _: replace(event, digest="other"), Crime.CORRUPT)


def misplace(logs: Logs, random: Random) -> Crime | None:
    """Have a frame say another topic than that of its publication."""
    return _change(logs, random, lambda event, _: replace(event, topic="elsewhere"), Crime.WRONG_TOPIC)


def misdeliver(logs: Logs, random: Random) -> Crime | None:
    """Give a receiver a publication of a topic to which it never listens."""
    places = []
    for receiver, events in logs.events.items():
        topics = {event.topic for event in events if event.kind is Kind.SUBSCRIBE}
        others = [item for item in logs.publications.values() if item.topic not in topics]
        if others:
            places.append((receiver, others))
    place = _choose(random, places)
    if place is None:
        return None
    receiver, others = place
    publication = random.choice(others)
    events = logs.events[receiver]
    events.append(_frame_of(publication, receiver, events[-1].time))
    return Crime.WRONG_TOPIC


def outstay(logs: Logs, random: Random) -> Crime | None:
    """Give a receiver a publication of a topic that it has left for good."""
    receiver = _choose(random, list(logs.events))
    if receiver is None:
        return None
    events = logs.events[receiver]
    topics = {event.topic for event in events if event.kind is Kind.SUBSCRIBE}
    publication = _choose(random, [item for item in logs.publications.values() if item.topic in topics])
    if publication is None:
        return None
    events.append(_frame_of(publication, receiver, events[-1].time))
    return Crime.UNINVITED


def precede(logs: Logs, random: Random) -> Crime | None:
    """Give a receiver a publication of its own node from before it subscribed."""
    places = []
    for sitting in _sittings(logs):
        if sitting.topic in logs.stored:
            continue
        for publication in logs.publications.values():
            early = publication.returned is not None and publication.returned < sitting.asked.time
            if publication.topic == sitting.topic and publication.node == sitting.node and early:
                places.append((sitting, publication))
    place = _choose(random, places)
    if place is None:
        return None
    sitting, publication = place
    events = logs.events[sitting.receiver]
    at = events.index(sitting.asked) + 1
    events.insert(at, _frame_of(publication, sitting.receiver, sitting.asked.time))
    return Crime.UNINVITED


def return_own(logs: Logs, random: Random) -> Crime | None:
    """Say that a receiver should not have got what it got."""
    place = _choose(random, list(_frames(logs)))
    if place is None:
        return None
    sitting, _, publication = place
    logs.publications[publication.id] = replace(publication, excluded=sitting.receiver)
    return Crime.UNINVITED


def refuse(logs: Logs, random: Random) -> Crime | None:
    """Say that the publisher of what came was told that it is refused."""
    place = _choose(random, list(_frames(logs)))
    if place is None:
        return None
    logs.publications[place[2].id] = replace(place[2], accepted=Accepted.NO)
    return Crime.PHANTOM


def move(logs: Logs, random: Random) -> Crime | None:
    """Have one of two receivers see a publication at another position."""
    by_id: dict[str, list[Event]] = {}
    for _, event, publication in _frames(logs, stored=True):
        by_id.setdefault(publication.id, []).append(event)
    chosen = _choose(random, [events[-1] for events in by_id.values() if len(events) > 1])
    if chosen is None:
        return None
    of_receiver = logs.events[chosen.receiver]
    of_receiver[of_receiver.index(chosen)] = replace(chosen, position="e1:99")
    return Crime.POSITION


def hush(logs: Logs, random: Random) -> Crime | None:
    """Take out a notice of loss after which positions go on somewhere else."""
    places = []
    for sitting in _sittings(logs):
        for at, event in enumerate(sitting.seen[:-1]):
            base = sitting.seen[at - 1].position if at else sitting.since or sitting.position
            behind = sitting.seen[at + 1]
            if event.kind is Kind.LOST and base is not None and behind.kind is Kind.FRAME:
                places.append((sitting, event))
    return _take_out(logs, random, places, Crime.GAP)


def give_a_part(logs: Logs, random: Random) -> Crime | None:
    """Give some of what was missed before the notice that it cannot be whole."""
    places = []
    for sitting in _sittings(logs):
        first = sitting.seen[0] if sitting.seen else None
        if first is None or first.kind is not Kind.LOST or sitting.since is None or first.position is None:
            continue
        since, top = sitting.since.split(":"), first.position.split(":")
        for publication in logs.publications.values():
            epoch, _, offset = (publication.position or "").partition(":")
            if publication.topic == sitting.topic and since[0] == epoch == top[0]:
                if int(since[1]) < int(offset) <= int(top[1]) and publication.excluded != sitting.receiver:
                    places.append((sitting, first, publication))
    place = _choose(random, places)
    if place is None:
        return None
    sitting, first, publication = place
    events = logs.events[sitting.receiver]
    events.insert(events.index(first), _frame_of(publication, sitting.receiver, first.time))
    return Crime.PARTIAL


def count_nothing(logs: Logs, random: Random) -> Crime | None:
    """Forget the counters where a fault took something that was owed."""
    judgment = judge(logs, Rules(SETTLE, RECOVER))
    logs.declared.clear()
    return Crime.SILENT_LOSS if judgment.outcomes[Outcome.COUNTED] else None


MUTATIONS: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        lose, lose_between, lose_position, lose_the_last, double, swap, invent, corrupt, misplace, misdeliver,
        outstay, precede, return_own, refuse, move, hush, give_a_part, count_nothing,
    )
}  # fmt: skip


def mutated(logs: Logs, mutation: Mutation, random: Random) -> tuple[Logs, Crime] | None:
    """Return a changed copy of the logs and the crime in it."""
    events = {receiver: list(of_receiver) for receiver, of_receiver in logs.events.items()}
    changed = Logs(logs.stored, dict(logs.publications), events, list(logs.faults), list(logs.declared))
    crime = mutation(changed, random)
    return None if crime is None else (changed, crime)


def _sittings(logs: Logs) -> Iterator[Sitting]:
    for events in logs.events.values():
        yield from sit(events, logs.publications)[0]


def _frames(logs: Logs, stored: bool | None = None) -> Iterator[tuple[Sitting, Event, Publication]]:
    for sitting in _sittings(logs):
        if stored is None or (sitting.topic in logs.stored) == stored:
            for event in sitting.seen:
                if event.kind is Kind.FRAME:
                    yield sitting, event, logs.publications[event.id or ""]


def _publications(logs: Logs, sitting: Sitting) -> list[Publication]:
    return [logs.publications[event.id or ""] for event in sitting.seen if event.kind is Kind.FRAME]


def _take_out(
    logs: Logs, random: Random, places: Sequence[tuple[Sitting, Event]], crime: Crime
) -> Crime | None:
    place = _choose(random, places)
    if place is None:
        return None
    logs.events[place[0].receiver].remove(place[1])
    return crime


def _change(
    logs: Logs, random: Random, change: Callable[[Event, Publication], Event], crime: Crime
) -> Crime | None:
    place = _choose(random, list(_frames(logs)))
    if place is None:
        return None
    sitting, event, publication = place
    events = logs.events[sitting.receiver]
    events[events.index(event)] = change(event, publication)
    return crime


def _frame_of(publication: Publication, receiver: str, time: float) -> Event:
    return Event(
        receiver,
        time,
        Kind.FRAME,
        id=publication.id,
        digest=publication.digest,
        position=publication.position,
    )


def _is_disturbed(logs: Logs, publication: Publication) -> bool:
    return any(
        fault.start - 2 * SETTLE <= publication.called <= fault.end + 2 * RECOVER for fault in logs.faults
    )


def _others_saw(logs: Logs, sitting: Sitting, publication: Publication) -> bool:
    return any(
        event.id == publication.id
        for receiver, events in logs.events.items()
        if receiver != sitting.receiver
        for event in events
    )


def _comes_back(logs: Logs, sitting: Sitting) -> bool:
    return any(
        other.receiver == sitting.receiver and other.topic == sitting.topic
        for other in _sittings(logs)
        if other.asked.time > sitting.asked.time
    )


def _choose(random: Random, places: Sequence[T]) -> T | None:
    return random.choice(places) if places else None
