"""What did not come: each publication that a receiver was owed, and what excuses its absence."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from tests.judge.arrivals import parse_position
from tests.judge.excerpts import missing
from tests.judge.logs import Accepted, Fault, Kind, Publication
from tests.judge.sittings import Sitting
from tests.judge.verdicts import Case, Crime, Outcome

__all__ = ["check_debts"]

Lost = dict[tuple[str, str], dict[str, list[Sitting]]]
"""By node of the publisher and of the receivers: what is missing in a fault, and in which sittings."""
_STORE = ""
"""Stands for the receivers' node where it was the store that did not get it."""


def check_debts(case: Case) -> None:
    """Look for what is missing, receiver by receiver; then compare what faults took with the counters."""
    lost: Lost = defaultdict(dict)
    for sittings in case.sittings.values():
        by_topic: dict[str, list[Sitting]] = defaultdict(list)
        for sitting in sittings:
            by_topic[sitting.topic].append(sitting)
        for topic, of_topic in by_topic.items():
            if topic in case.logs.stored:
                for chain in _chains(of_topic):
                    _check_chain(case, chain, lost)
            else:
                for sitting in of_topic:
                    _check_sitting(case, sitting, lost)
    _check_counters(case, lost)


def _check_sitting(case: Case, sitting: Sitting, lost: Lost) -> None:
    """Look for what one sitting on a plain topic was owed."""
    until = sitting.owed_until(case.rules.settle)
    came: set[str] = set()
    last: dict[tuple[str, str], int] = {}
    for event in sitting.seen:
        if event.kind is Kind.FRAME:
            publication = case.logs.publications[event.id or ""]
            came.add(publication.id)
            key = publication.publisher, publication.node
            last[key] = max(last.get(key, -1), publication.number)
    for publication in _between(case, sitting.topic, sitting.asked.time, sitting.left):
        if publication.id in came or not _concerns(publication, sitting.receiver):
            continue
        key = publication.publisher, publication.node
        overtaken = publication.number < last.get(key, -1)
        in_time = overtaken or _reach(publication) <= until
        if publication.accepted is Accepted.UNKNOWN or publication.called < sitting.confirmed or not in_time:
            case.settle(Outcome.EDGE, publication.id, sitting.receiver)
            continue
        fault = None if publication.node == sitting.node else _fault(case, publication, sitting.node)
        if fault is None:
            _convict(case, sitting, publication)
        elif not overtaken and _is_held(case, publication, sitting):
            case.settle(Outcome.EDGE, publication.id, sitting.receiver)
        elif fault.counted:
            lost[publication.node, sitting.node].setdefault(publication.id, []).append(sitting)
        else:
            case.settle(Outcome.WITH_NODE, publication.id, sitting.receiver)


@dataclass(slots=True)
class _Notice:
    """A notice of loss: what it covers is behind `since` and not behind `position`."""

    time: float
    since: str | None
    position: str | None

    def covers(self, case: Case, publication: Publication) -> bool:
        if publication.called > self.time:
            return False
        here = parse_position(case.positions.get(publication.id))
        since, until = parse_position(self.since), parse_position(self.position)
        if here is not None:
            behind = since is None or since[0] != here[0] or since[1] < here[1]
            return behind and (until is None or until[0] != here[0] or here[1] <= until[1])
        last = case.logs.publications.get(case.at.get((publication.topic, self.since or ""), ""))
        return last is None or publication.called >= last.called - case.rules.settle


def _check_chain(case: Case, chain: list[Sitting], lost: Lost) -> None:
    """Look for what sittings were owed that follow each other by position, with all that is between them."""
    receiver, topic = chain[0].receiver, chain[0].topic
    start = chain[0].confirmed
    until = max(
        (sitting.owed_until(case.rules.settle) for sitting in chain if sitting.confirmed < math.inf),
        default=-math.inf,
    )
    notices = list(_notices(chain))
    seen = case.seen[receiver]
    for publication in _between(case, topic, start, until):
        if publication.id in seen or not _concerns(publication, receiver) or _reach(publication) > until:
            continue
        if (publication.id, receiver) in case.judgment.pairs:
            continue
        if any(notice.covers(case, publication) for notice in notices):
            case.settle(Outcome.TOLD_LOST, publication.id, receiver)
            continue
        sitting = max((item for item in chain if item.asked.time <= publication.called), key=_asked)
        is_kept = publication.id in case.positions or publication.accepted is Accepted.STORED
        fault = None if is_kept else _fault(case, publication, publication.node)
        is_unknown = not is_kept and publication.accepted is Accepted.UNKNOWN
        if is_unknown or _is_held(case, publication, chain[-1]):
            case.settle(Outcome.EDGE, publication.id, receiver)
        elif fault is None:
            _convict(case, sitting, publication)
        elif fault.counted:
            lost[publication.node, _STORE].setdefault(publication.id, []).append(sitting)
        else:
            case.settle(Outcome.WITH_NODE, publication.id, receiver)


def _chains(sittings: Sequence[Sitting]) -> Iterator[list[Sitting]]:
    """Cut the sittings on one topic where a receiver began anew, without a position."""
    chain: list[Sitting] = []
    for sitting in sittings:
        if sitting.since is None and chain:
            yield chain
            chain = []
        chain.append(sitting)
    yield chain


def _notices(chain: Sequence[Sitting]) -> Iterator[_Notice]:
    for sitting in chain:
        since = sitting.since or sitting.position
        for event in sitting.seen:
            if event.kind is Kind.LOST:
                yield _Notice(event.time, since, event.position)
            since = event.position or since


def _fault(case: Case, publication: Publication, node: str) -> Fault | None:
    """Return a fault that may have taken a publication on its way to a node.

    Rather one that ended its node: then nobody can say which of two took it.
    """
    settle, recover = case.rules.settle, case.rules.recover
    found = None
    for fault in case.logs.faults:
        if not fault.start - settle <= _reach(publication):
            continue
        if publication.called > fault.end + (recover if fault.counted else 0.0):
            continue
        if fault.counted:
            if fault.concerns(publication.node, node):
                found = fault
        elif publication.node in fault.nodes:
            return fault
    return found


def _is_held(case: Case, publication: Publication, sitting: Sitting) -> bool:
    """Whether a fault may have held a publication up until the receiver had left."""
    settle, recover = case.rules.settle, case.rules.recover
    return any(
        fault.concerns(publication.node, sitting.node)
        and fault.start - settle <= _reach(publication)
        and sitting.left <= fault.end + recover + settle
        for fault in case.logs.faults
        if fault.counted
    )


def _check_counters(case: Case, lost: Lost) -> None:
    """Settle what faults took, or convict what the counters of the nodes do not cover."""
    for to in sorted({to for _, to in lost}):
        origins = {origin: ids for (origin, other), ids in lost.items() if other == to}
        total = sum(map(len, origins.values()))
        sent = {origin: _declared(case, origin, to) for origin in origins}
        got = {origin: _declared(case, to, origin, strict=True) for origin in origins}
        at_large = sum(item.count for item in case.logs.declared if item.node == to and item.other is None)
        short = False
        for origin, ids in origins.items():
            covered = sent[origin] + got[origin] + at_large
            if len(ids) > covered:
                short = True
                _convict_counters(case, origin, to, ids, covered)
        covered = sum(sent.values()) + sum(got.values()) + at_large
        if not short and total > covered:
            every = {id: sittings for ids in origins.values() for id, sittings in ids.items()}
            _convict_counters(case, " and ".join(sorted(origins)), to, every, covered)
        for ids in origins.values():
            for id, sittings in ids.items():
                for sitting in sittings:
                    if (id, sitting.receiver) not in case.judgment.pairs:
                        case.settle(Outcome.COUNTED, id, sitting.receiver)


def _declared(case: Case, node: str, other: str, strict: bool = False) -> int:
    """Return how many publications a node says it lost to or from another; not strictly: or at large."""
    whom = (other,) if strict else (other, None)
    return sum(item.count for item in case.logs.declared if item.node == node and item.other in whom)


def _convict_counters(case: Case, origin: str, to: str, ids: dict[str, list[Sitting]], covered: int) -> None:
    where = f"from {origin} to {to}" if to != _STORE else f"from {origin} to the store"
    text = f"{len(ids)} publications {where} are missing after faults, and the counters say {covered}"
    id, (sitting, *_) = next(iter(ids.items()))
    lines = partial(missing, case.logs, sitting, case.logs.publications[id], case.rules.settle)
    case.convict(Crime.SILENT_LOSS, text, sitting.receiver, id, lines)
    for other, sittings in ids.items():
        for sitting in sittings:
            case.judgment.pairs[other, sitting.receiver] = Crime.SILENT_LOSS


def _convict(case: Case, sitting: Sitting, publication: Publication) -> None:
    text = f"{sitting.receiver} on {sitting.node} never got {publication.id}, and was not told"
    lines = partial(missing, case.logs, sitting, publication, case.rules.settle)
    case.convict(Crime.SILENT_LOSS, text, sitting.receiver, publication.id, lines)


def _between(case: Case, topic: str, start: float, end: float) -> Iterator[Publication]:
    """Yield what was published on a topic in a time."""
    published = case.topics.get(topic, [])
    for at in range(bisect_left(published, start, key=_called), len(published)):
        if published[at].called > end:
            return
        yield published[at]


def _concerns(publication: Publication, receiver: str) -> bool:
    return publication.excluded != receiver and publication.accepted is not Accepted.NO


def _called(publication: Publication) -> float:
    return publication.called


def _reach(publication: Publication) -> float:
    return publication.called if publication.returned is None else publication.returned


def _asked(sitting: Sitting) -> float:
    return sitting.asked.time
