"""The few lines of the logs that explain a conviction, in order of time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from tests.judge.logs import Event, Fault, Kind, Logs, Publication
from tests.judge.sittings import Sitting

__all__ = ["around", "line_of", "missing"]


def missing(logs: Logs, sitting: Sitting, publication: Publication, settle: float) -> list[str]:
    """Explain what did not come: the subscription, the call, what came before and behind it, the end."""
    before, behind = None, None
    for event in sitting.seen:
        other = logs.publications.get(event.id or "")
        if other is None or (other.publisher, other.node) != (publication.publisher, publication.node):
            continue
        if other.number < publication.number:
            before = event
        elif behind is None:
            behind = event
    found = [before, behind, *_bounds(logs, sitting), *_faults(logs, publication, settle)]
    return _lines(logs, [event for event in found if event is not None], publication)


def around(logs: Logs, sitting: Sitting | None, event: Event, *others: Event) -> list[str]:
    """Explain what came: the subscription, the call, and the frames that it does not go with."""
    found: list[Event | Fault] = [event, *others]
    if sitting is not None:
        found += _bounds(logs, sitting)
    return _lines(logs, found, logs.publications.get(event.id or ""), event)


def line_of(logs: Logs, record: Event | Publication | Fault) -> str:
    """Return one record as a line."""
    if isinstance(record, Publication):
        text = f"{record.publisher} on {record.node} publishes {_name(record)} to {record.topic!r}"
        text += "" if record.accepted == "accepted" else f": {record.accepted}"
        return f"{record.called:>14.6f}  {text}{_at(record.position)}"
    if isinstance(record, Fault):
        nodes = ", ".join(record.nodes) or "all"
        return f"{record.start:>14.6f}  fault: {record.kind} of {nodes}, until {record.end:.6f}"
    publication = logs.publications.get(record.id or "")
    text = f"{record.receiver}: {record.kind}"
    if record.kind is Kind.FRAME:
        text += f" {_name(publication) if publication is not None else record.id}"
    if record.topic is not None:
        text += f" {record.topic!r}"
    if record.node is not None:
        text += f" on {record.node}"
    return f"{record.time:>14.6f}  {text}{_at(record.position)}"


def _lines(
    logs: Logs,
    found: Iterable[Event | Fault],
    publication: Publication | None,
    marked: Event | None = None,
) -> list[str]:
    records: list[Event | Fault | Publication] = []
    for record in found:
        if not any(record is other for other in records):
            records.append(record)
    if publication is not None:
        records.append(publication)
    records.sort(key=_time)
    pointed: Event | Publication | None = publication if marked is None else marked
    return [line_of(logs, record) + ("   <---" if record is pointed else "") for record in records]


def _bounds(logs: Logs, sitting: Sitting) -> Iterator[Event]:
    yield sitting.asked
    if sitting.confirmed < math.inf:
        for event in logs.events[sitting.receiver]:
            if event.kind is Kind.SUBSCRIBED and event.topic == sitting.topic:
                if event.time == sitting.confirmed:
                    yield event
    for event in logs.events[sitting.receiver]:
        if event.kind in (Kind.STALLED, Kind.RESUMED) and event.time in (sitting.stalled, sitting.resumed):
            yield event
    if sitting.ended is not None:
        yield sitting.ended


def _faults(logs: Logs, publication: Publication, settle: float) -> Iterator[Fault]:
    for fault in logs.faults:
        if fault.start - settle <= publication.called <= fault.end + settle:
            yield fault


def _time(record: Event | Fault | Publication) -> float:
    if isinstance(record, Publication):
        return record.called
    return record.start if isinstance(record, Fault) else record.time


def _name(publication: Publication) -> str:
    return f"{publication.id} (number {publication.number} of {publication.publisher})"


def _at(position: str | None) -> str:
    return "" if position is None else f" at {position}"
