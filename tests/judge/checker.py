"""The judge: from the logs of a run to a verdict on each publication and receiver. It knows no engine.

Every publication is, for each receiver, one of `Outcome`, or somebody is convicted of a `Crime`. Owed is:

* A subscription is owed what is published from its confirmation (every node delivers) to its end, less
  `Rules.settle` for what is on its way then. Whoever has a later publication of the same publisher is owed
  the earlier ones whatever the time. Never twice, in order per publisher, with its content.
* On a plain topic a publication may be lost between two nodes, never within one, while a fault lasts that
  concerns either, and only as many as the two count. A receiver that did not read and was closed for it is
  told by that close.
* On a topic with history positions are the proof: each one behind the last, the same for all receivers. Who
  comes back with its position gets all that it missed, or a notice that it cannot, and then no part of it.
  No fault excuses the loss of what the store has taken.
"""

from __future__ import annotations

from functools import partial

from tests.judge.arrivals import check_arrivals, check_strays
from tests.judge.debts import check_debts
from tests.judge.excerpts import around
from tests.judge.logs import Event, Kind, Logs
from tests.judge.sittings import Stray, sit
from tests.judge.verdicts import Case, Crime, Judgment, Rules

__all__ = ["judge"]


def judge(logs: Logs, rules: Rules | None = None) -> Judgment:
    """Return the judgment of one run."""
    judgment = Judgment()
    case = Case(logs, rules or Rules(), judgment)
    for publication in sorted(logs.publications.values(), key=lambda item: item.called):
        case.topics.setdefault(publication.topic, []).append(publication)
    strays: list[Stray] = []
    for receiver, events in logs.events.items():
        case.sittings[receiver], of_receiver = sit(events, logs.publications)
        strays += of_receiver
    _place(case)
    check_strays(case, strays)
    for receiver in case.sittings:
        check_arrivals(case, receiver)
    check_debts(case)
    judgment.seen = case.seen
    return judgment


def _place(case: Case) -> None:
    """Note where each publication stands in the history of its topic, as all saw it."""
    logs = case.logs
    frames: dict[str, Event] = {}
    for publication in logs.publications.values():
        if publication.position is not None and publication.topic in logs.stored:
            case.positions[publication.id] = publication.position
            case.at[publication.topic, publication.position] = publication.id
    for sittings in case.sittings.values():
        for sitting in sittings:
            if sitting.topic not in logs.stored:
                continue
            for event in sitting.seen:
                if event.kind is not Kind.FRAME or event.id is None or event.position is None:
                    continue
                position = case.positions.setdefault(event.id, event.position)
                other = case.at.setdefault((sitting.topic, event.position), event.id)
                if position != event.position:
                    text = f"{event.id} is at {position} and, for {event.receiver}, at {event.position}"
                elif other != event.id:
                    text = f"{event.position} of {sitting.topic!r} is {other} and, here, {event.id}"
                else:
                    frames.setdefault(event.id, event)
                    continue
                before = frames.get(event.id) or frames.get(other) or event
                case.convict(
                    Crime.POSITION,
                    text,
                    event.receiver,
                    event.id,
                    partial(around, logs, sitting, event, before),
                )
