"""What came: each frame against its publication, and against the frames before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from tests.judge.excerpts import around
from tests.judge.logs import Accepted, Event, Kind, Publication
from tests.judge.sittings import Sitting, Stray
from tests.judge.verdicts import Case, Crime, Outcome

__all__ = ["check_arrivals", "check_strays", "parse_position"]

_WIDE = 1_000
"""A gap of more positions than this is one conviction, not one for each."""


def check_strays(case: Case, strays: list[Stray]) -> None:
    """Convict frames that belong to no subscription of their receiver."""
    for stray in strays:
        event, publication = stray.event, stray.publication
        if publication is None:
            _convict(case, Crime.PHANTOM, f"{event.receiver} got {event.id}, which nobody published", event)
        elif stray.known:
            text = f"{event.receiver} got {event.id} while it was not subscribed to {publication.topic!r}"
            _convict(case, Crime.UNINVITED, text, event)
        else:
            listening = "another topic" if event.topic is None else repr(event.topic)
            text = f"{event.receiver} got {event.id} of {publication.topic!r} as one of {listening}"
            _convict(case, Crime.WRONG_TOPIC, text, event)


def check_arrivals(case: Case, receiver: str) -> None:
    """Go through the frames of one receiver; fills `case.seen` for it."""
    seen = case.seen.setdefault(receiver, {})
    orders: dict[str, _Order] = {}
    for sitting in case.sittings[receiver]:
        is_stored = sitting.topic in case.logs.stored
        if not is_stored or sitting.since is None or sitting.topic not in orders:
            orders[sitting.topic] = _Order()
        order = orders[sitting.topic]
        walk = _Walk(case, sitting) if is_stored else None
        for event in sitting.seen:
            if event.kind is Kind.LOST:
                if walk is not None:
                    walk.lost(event)
                continue
            publication = case.logs.publications[event.id or ""]
            _check_frame(case, sitting, event, publication)
            if _is_twice(case, sitting, event, publication, seen):
                continue
            seen.setdefault(publication.id, sitting)
            fits = walk is None or walk.frame(event)
            before = order.take(event, publication)
            if fits and before is not None:
                text = f"{receiver} got {publication.id} behind {before.id} of the same publisher"
                _convict(case, Crime.REORDER, text, event, sitting, before)
            recovered = sitting.since is not None and _reach(publication) < sitting.asked.time
            outcome = Outcome.RECOVERED if recovered else Outcome.DELIVERED
            case.settle(outcome, publication.id, receiver)
        if walk is not None:
            walk.end()


def parse_position(position: str | None) -> tuple[str, int] | None:
    """Return epoch and offset; None for what is no position."""
    epoch, colon, offset = (position or "").rpartition(":")
    return (epoch, int(offset)) if colon and offset.isdecimal() else None


class _Order:
    """The last that came of each publisher on each node."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, Event]] = {}

    def take(self, event: Event, publication: Publication) -> Event | None:
        """Return the frame that should have come behind this one, if there is one."""
        key = publication.publisher, publication.node
        number, before = self._last.get(key, (-1, event))
        if publication.number < number:
            return before
        self._last[key] = publication.number, event
        return None


@dataclass(slots=True)
class _Walk:
    """Where a receiver stands in the history of a topic, during one sitting."""

    case: Case
    sitting: Sitting
    at: tuple[str, int] | None = None
    before: Event | None = None
    holes: dict[int, tuple[Event, ...]] = field(default_factory=dict)
    recovered: Event | None = None

    def __post_init__(self) -> None:
        self.at = parse_position(self.sitting.since or self.sitting.position)

    def frame(self, event: Event) -> bool:
        """Take a frame that came for the first time; False where it was convicted."""
        publication = self.case.logs.publications[event.id or ""]
        if self.sitting.since is not None and _reach(publication) < self.sitting.asked.time:
            self.recovered = event
        here = parse_position(event.position)
        if here is None:
            return self._convict(Crime.GAP, "has no position on a topic with history", event)
        before, at = self.before, self.at
        if at is not None and here[0] != at[0]:
            self._convict(Crime.GAP, "is of another epoch, and nobody said so", event, before)
            self.end()
        elif at is not None and here[1] <= at[1]:
            hole = self.holes.pop(here[1], None)
            others = (before,) if hole is None else hole
            return self._convict(Crime.REORDER, "came behind later positions", event, *others)
        elif at is not None and here[1] - at[1] > _WIDE:
            self._convict(Crime.GAP, f"is {here[1] - at[1]} positions behind the last", event, before)
        elif at is not None:
            between = (event,) if before is None else (before, event)
            self.holes.update(dict.fromkeys(range(at[1] + 1, here[1]), between))
        self.at, self.before = here, event
        return True

    def lost(self, event: Event) -> None:
        """Take the notice that it cannot be whole; what came after a hole should have come behind it."""
        self.end()
        at = parse_position(event.position)
        since = parse_position(self.sitting.since)
        # A store that was lost later is another matter: then the epochs differ.
        same = at is None or since is None or at[0] == since[0]
        answers = event.time <= self.sitting.confirmed + self.case.rules.settle
        if self.recovered is not None and answers and same:
            self._convict(
                Crime.PARTIAL, "was given, and then it was told that more is gone", self.recovered, event
            )
        self.at, self.before, self.recovered = at, None, None

    def end(self) -> None:
        """Convict the holes that nothing has filled, but for the receiver's own publications."""
        if not self.holes:
            return
        case, receiver, topic = self.case, self.sitting.receiver, self.sitting.topic
        epoch = self.at[0] if self.at is not None else ""
        own = [item for item in case.topics.get(topic, ()) if item.excluded == receiver]
        unplaced = sum(item.id not in case.positions for item in own)
        for offset, (event, *others) in self.holes.items():
            id = case.at.get((topic, f"{epoch}:{offset}"))
            publication = case.logs.publications.get(id or "")
            if publication is not None and publication.excluded == receiver:
                continue
            if publication is None and unplaced > 0:
                unplaced -= 1
                continue
            text = f"{receiver} never got {epoch}:{offset} of {topic!r} ({id or 'nobody did'})"
            lines = partial(around, case.logs, self.sitting, event, *others)
            case.convict(Crime.GAP, text, receiver, id, lines)
        self.holes.clear()

    def _convict(self, crime: Crime, what: str, event: Event, *others: Event | None) -> bool:
        text = f"{event.receiver}: {event.id} {what}"
        _convict(self.case, crime, text, event, self.sitting, *(other for other in others if other))
        return False


def _check_frame(case: Case, sitting: Sitting, event: Event, publication: Publication) -> None:
    """Convict a frame that is not what its publication says, or not for this receiver."""
    receiver, settle = event.receiver, case.rules.settle
    if event.digest != publication.digest:
        _convict(case, Crime.CORRUPT, f"{receiver} got {event.id} with another content", event, sitting)
    if publication.accepted is Accepted.NO:
        text = f"{receiver} got {event.id}, whose publisher was told that it is refused"
        _convict(case, Crime.PHANTOM, text, event, sitting)
    if publication.excluded == receiver:
        _convict(case, Crime.UNINVITED, f"{receiver} got its own {event.id}", event, sitting)
    is_stored = sitting.topic in case.logs.stored
    if publication.returned is None or (is_stored and sitting.since is not None):
        return
    # On its own node a plain publication has reached all there are before the call returns.
    slack = 0.0 if publication.node == sitting.node and not is_stored else settle
    if publication.returned < sitting.asked.time - slack and not _is_late(case, publication, sitting):
        text = f"{receiver} got {event.id}, published before it subscribed to {sitting.topic!r}"
        _convict(case, Crime.UNINVITED, text, event, sitting)


def _is_twice(
    case: Case, sitting: Sitting, event: Event, publication: Publication, seen: dict[str, Sitting]
) -> bool:
    """Whether it came before, which is a crime unless the receiver changed nodes meanwhile."""
    first = seen.get(publication.id)
    if first is None:
        return False
    # What one node has handed over may be still on its way to another.
    fresh = publication.called >= sitting.asked.time - case.rules.settle
    fresh = fresh or _is_late(case, publication, sitting)
    moved = first is not sitting and first.node != sitting.node and sitting.since is None
    if not (moved and fresh):
        earlier = next(other for other in first.seen if other.id == event.id)
        text = f"{event.receiver} got {event.id} twice"
        _convict(case, Crime.DUPLICATE, text, event, sitting, first.asked, earlier)
    return True


def _is_late(case: Case, publication: Publication, sitting: Sitting) -> bool:
    """Whether a fault may have held a publication up until somebody subscribed on the other node."""
    settle = case.rules.settle
    return publication.node != sitting.node and any(
        fault.concerns(publication.node, sitting.node)
        and fault.start - settle <= sitting.asked.time
        and fault.end + case.rules.recover >= _reach(publication)
        for fault in case.logs.faults
    )


def _reach(publication: Publication) -> float:
    return publication.called if publication.returned is None else publication.returned


def _convict(
    case: Case, crime: Crime, text: str, event: Event, sitting: Sitting | None = None, *others: Event
) -> None:
    case.convict(crime, text, event.receiver, event.id, partial(around, case.logs, sitting, event, *others))
