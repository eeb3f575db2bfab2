from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.judge.checker import judge
from tests.judge.logs import Accepted, Declared, Event, Fault, Kind, Logs, Publication, Record
from tests.judge.simulation import simulate
from tests.judge.verdicts import Crime, Judgment, Outcome, Rules

RULES = Rules(settle=1.0, recover=2.0)


def published(number: int, called: float, topic: str = "t", node: str = "a", **more: object) -> Publication:
    fields: dict[str, object] = {
        "id": f"p{number}",
        "topic": topic,
        "publisher": "p",
        "number": number,
        "node": node,
        "digest": f"d{number}",
        "called": called,
        "returned": called + 0.01,
    }
    return Publication(**{**fields, **more})  # type: ignore[arg-type]


def listening(
    frames: Sequence[tuple[float, int] | tuple[float, int, str] | Event],
    node: str = "b",
    since: str | None = None,
    start: float = 0.0,
    end: float = 100.0,
    receiver: str = "r",
) -> list[Event]:
    """Return the log of a receiver on topic "t": frames as time, number and position."""
    events = [
        Event(receiver, start, Kind.CONNECTED, node=node),
        Event(receiver, start, Kind.SUBSCRIBE, "t", position=since),
    ]
    early = [frame for frame in frames if isinstance(frame, Event) and frame.time <= start + 0.1]
    events += [*early, Event(receiver, start + 0.1, Kind.SUBSCRIBED, "t")]
    for frame in frames:
        if isinstance(frame, Event):
            events += [] if frame in early else [frame]
        else:
            time, number, *position = frame
            id, digest = f"p{number}", f"d{number}"
            events.append(
                Event(receiver, time, Kind.FRAME, id=id, digest=digest, position=(*position, None)[0])
            )
    return [*events, Event(receiver, end, Kind.CLOSING), Event(receiver, end, Kind.CLOSED)]


def verdict(*records: Record | list[Event], stored: bool = False) -> Judgment:
    logs = Logs(frozenset({"t"} if stored else ()))
    for record in records:
        logs.extend(record if isinstance(record, list) else [record])
    return judge(logs, RULES)


def test_delivered_and_not_concerned() -> None:
    found = verdict(
        published(1, 1.0),
        published(2, 2.0, "other"),
        published(3, 3.0, excluded="r"),
        published(4, 200.0),
        listening([(1.1, 1)]),
    )
    assert found.convictions == []
    assert [found.verdict(f"p{number}", "r") for number in (1, 2, 3, 4)] == [
        Outcome.DELIVERED,
        Outcome.NOT_CONCERNED,
        Outcome.NOT_CONCERNED,
        Outcome.NOT_CONCERNED,
    ]


def test_a_silent_loss_is_explained_by_the_lines_around_it() -> None:
    found = verdict(*(published(number, number) for number in range(1, 8)), listening([(1.1, 1), (4.1, 4)]))
    assert found.crimes == {Crime.SILENT_LOSS: 5}
    assert str(found.convictions[0]).splitlines() == [
        "SILENT LOSS: r on b never got p2, and was not told",
        "      0.000000  r: subscribe 't'",
        "      0.100000  r: subscribed 't'",
        "      1.100000  r: frame p1 (number 1 of p)",
        "      2.000000  p on a publishes p2 (number 2 of p) to 't'   <---",
        "      4.100000  r: frame p4 (number 4 of p)",
        "    100.000000  r: closed",
    ]
    assert found.verdict("p2", "r") is Crime.SILENT_LOSS
    text = str(found)
    assert "5 CONVICTED of silent loss" in text and "... and 2 more of silent loss" in text


@pytest.mark.parametrize(("called", "owed"), [(98.9, True), (99.5, False)])
def test_what_was_on_its_way_at_the_end_may_be_missing(called: float, owed: bool) -> None:
    found = verdict(published(1, called), listening([]))
    assert found.verdict("p1", "r") is (Crime.SILENT_LOSS if owed else Outcome.EDGE)


def test_but_not_before_one_that_came() -> None:
    found = verdict(published(1, 99.5), published(2, 99.6), listening([(99.9, 2)]))
    assert found.crimes == {Crime.SILENT_LOSS: 1}


def test_before_the_confirmation_nothing_is_owed() -> None:
    found = verdict(published(1, 0.05), listening([]))
    assert found.verdict("p1", "r") is Outcome.EDGE
    unconfirmed = [event for event in listening([]) if event.kind is not Kind.SUBSCRIBED]
    assert verdict(published(1, 50.0), unconfirmed).verdict("p1", "r") is Outcome.EDGE


def test_who_does_not_read_and_is_closed_is_told_by_that() -> None:
    log = listening([Event("r", 50.0, Kind.STALLED)])
    found = verdict(published(1, 10.0), published(2, 60.0), log)
    assert found.verdict("p1", "r") is Crime.SILENT_LOSS
    assert found.verdict("p2", "r") is Outcome.EDGE
    log.insert(-2, Event("r", 70.0, Kind.RESUMED))
    assert verdict(published(2, 60.0), log).verdict("p2", "r") is Crime.SILENT_LOSS


def test_a_log_without_an_end_is_owed_everything() -> None:
    found = verdict(published(1, 1e6), listening([])[:-2])
    assert found.verdict("p1", "r") is Crime.SILENT_LOSS


@pytest.mark.parametrize(
    ("declared", "outcome"),
    [
        ([Declared("a", 1, "b")], Outcome.COUNTED),
        ([Declared("b", 1, "a")], Outcome.COUNTED),
        ([Declared("a", 1)], Outcome.COUNTED),
        ([Declared("b", 1)], Outcome.COUNTED),
        ([Declared("a", 1, "c")], Crime.SILENT_LOSS),
        ([], Crime.SILENT_LOSS),
    ],
)
def test_a_loss_in_a_fault_has_to_be_counted(declared: list[Declared], outcome: Outcome | Crime) -> None:
    found = verdict(published(1, 10.0), Fault("cut", 9.0, 11.0, ("b",)), *declared, listening([]))
    assert found.verdict("p1", "r") is outcome
    assert bool(found.convictions) == isinstance(outcome, Crime)


def test_each_loss_is_counted_once() -> None:
    """What one node counts at large does not cover what it lost to two others."""
    fault = Fault("cut", 9.0, 11.0)
    records = (published(1, 10.0, node="a"), published(2, 10.0, node="c"), fault, listening([]))
    assert verdict(*records, Declared("b", 1)).crimes == {Crime.SILENT_LOSS: 1}
    assert verdict(*records, Declared("b", 2)).crimes == {}


@pytest.mark.parametrize(
    ("fault", "node"),
    [
        (Fault("cut", 1.0, 2.0, ("b",)), "a"),
        (Fault("cut", 9.0, 11.0, ("c",)), "a"),
        (Fault("cut", 9.0, 11.0), "b"),
        (Fault("kill", 9.0, 11.0, ("c",), counted=False), "a"),
    ],
    ids=["another time", "other nodes", "its own node", "another node is killed"],
)
def test_a_fault_elsewhere_excuses_nothing(fault: Fault, node: str) -> None:
    found = verdict(published(1, 10.0, node=node), fault, Declared(node, 9), Declared("b", 9), listening([]))
    assert found.crimes == {Crime.SILENT_LOSS: 1}


def test_what_dies_with_its_node_is_not_counted_by_anybody() -> None:
    fault = Fault("kill", 10.2, 10.3, ("a",), counted=False)
    found = verdict(published(1, 10.0), fault, published(2, 11.0), listening([]))
    assert found.verdict("p1", "r") is Outcome.WITH_NODE
    assert found.verdict("p2", "r") is Crime.SILENT_LOSS


def test_counters_are_compared_pair_by_pair() -> None:
    records = (
        published(1, 10.0, node="a"),
        published(2, 10.0, node="a"),
        published(3, 10.0, node="c"),
        Fault("cut", 9.0, 11.0),
        listening([]),
    )
    assert verdict(*records, Declared("a", 1, "b"), Declared("c", 2, "b")).crimes == {Crime.SILENT_LOSS: 1}
    assert verdict(*records, Declared("a", 2, "b"), Declared("c", 1, "b")).crimes == {}


def test_who_leaves_during_a_fault_may_miss_what_it_holds_up() -> None:
    fault = Fault("pause", 9.0, 20.0, ("b",))
    records = (published(1, 10.0), published(2, 11.0), fault)
    assert verdict(*records, listening([], end=15.0)).verdict("p1", "r") is Outcome.EDGE
    assert verdict(*records, listening([], end=15.0), stored=True).verdict("p1", "r") is Outcome.EDGE
    # What overtook it shows that it is not held up, but lost.
    found = verdict(*records, listening([(14.0, 2)], end=15.0))
    assert found.verdict("p1", "r") is Crime.SILENT_LOSS


@pytest.mark.parametrize(
    ("node", "faults", "invited"),
    [
        ("b", [], False),
        ("a", [], True),
        ("b", [Fault("pause", 8.0, 10.2, ("b",))], False),
    ],
)
def test_what_was_published_just_before_may_come_from_another_node(
    node: str, faults: list[Fault], invited: bool
) -> None:
    found = verdict(published(1, 9.5, node=node), *faults, listening([(10.5, 1)], start=10.0))
    assert found.crimes == ({} if invited else {Crime.UNINVITED: 1})


def test_and_long_before_where_a_fault_held_it_up() -> None:
    records = published(1, 5.0), listening([(10.5, 1)], start=10.0)
    assert verdict(*records).crimes == {Crime.UNINVITED: 1}
    assert verdict(*records, Fault("pause", 4.9, 10.4, ("b",))).crimes == {}
    assert verdict(*records, Fault("pause", 4.9, 10.4, ("c",))).crimes == {Crime.UNINVITED: 1}


def test_a_receiver_that_moves_may_meet_what_is_on_its_way_again() -> None:
    moved = listening([(10.0, 1)], "b", end=10.2) + listening([(10.5, 1)], "c", start=10.3)
    assert verdict(published(1, 9.8), moved).crimes == {}
    same = listening([(10.0, 1)], "b", end=10.2) + listening([(10.5, 1)], "b", start=10.3)
    assert Crime.DUPLICATE in verdict(published(1, 9.8), same).crimes
    late = listening([(10.0, 1)], "b", end=10.2) + listening([(20.5, 1)], "c", start=20.3)
    assert Crime.DUPLICATE in verdict(published(1, 9.8), late).crimes
    assert verdict(published(1, 9.8), late, Fault("pause", 9.9, 20.4, ("c",))).crimes == {}


def test_recovered_behind_a_position() -> None:
    first = listening([(1.1, 1, "e:1")], end=2.0)
    second = listening([(6.05, 2, "e:2"), (6.06, 3, "e:3"), (7.0, 4, "e:4")], "c", "e:1", start=6.0)
    published_ = [published(number, called) for number, called in ((1, 1.0), (2, 3.0), (3, 4.0), (4, 6.9))]
    found = verdict(*published_, first + second, stored=True)
    assert found.crimes == {}
    assert [found.verdict(f"p{number}", "r") for number in (1, 2, 3, 4)] == [
        Outcome.DELIVERED,
        Outcome.RECOVERED,
        Outcome.RECOVERED,
        Outcome.DELIVERED,
    ]
    # The same, but that it comes back without its position.
    anew = listening([(7.0, 4, "e:4")], "c", start=6.0)
    assert verdict(*published_, first + anew, stored=True).crimes == {}


def test_told_lost_covers_what_was_missed_and_nothing_behind_it() -> None:
    first = listening([(1.1, 1, "e:1")], end=2.0)
    told = Event("r", 6.0, Kind.LOST, "t", position="e:3")
    third = [published(number, called) for number, called in ((1, 1.0), (2, 3.0), (3, 4.0), (4, 6.9))]
    second = listening([told, (7.0, 4, "e:4")], "c", "e:1", start=6.0)
    found = verdict(*third, first + second, stored=True)
    assert found.crimes == {}
    assert found.verdict("p2", "r") is found.verdict("p3", "r") is Outcome.TOLD_LOST
    silent = listening([told], "c", "e:1", start=6.0)
    found = verdict(*third, first + silent, stored=True)
    assert found.crimes == {Crime.SILENT_LOSS: 1} and found.verdict("p4", "r") is Crime.SILENT_LOSS


def test_a_notice_does_not_cover_what_is_behind_its_position() -> None:
    told = Event("r", 6.0, Kind.LOST, "t", position="e:3")
    kept = published(4, 5.9, accepted=Accepted.STORED, position="e:4")
    first = listening([(1.1, 1, "e:1")], end=2.0)
    found = verdict(published(1, 1.0), kept, first + listening([told], start=5.5, since="e:1"), stored=True)
    assert found.verdict("p4", "r") is Crime.SILENT_LOSS


def test_nor_what_was_published_before_what_the_receiver_had() -> None:
    told = Event("r", 60.0, Kind.LOST, "t", position="f:0")
    log = listening([(50.1, 2, "e:1"), told])
    found = verdict(published(1, 1.0), published(2, 50.0), published(3, 55.0), log, stored=True)
    assert found.verdict("p1", "r") is Crime.SILENT_LOSS
    assert found.verdict("p3", "r") is Outcome.TOLD_LOST


def test_a_notice_long_after_a_recovery_is_no_partial_one() -> None:
    first = listening([(1.1, 1, "e:1")], end=2.0)
    records = published(1, 1.0), published(2, 3.0)
    for time, position, crimes in ((6.02, "e:9", {Crime.PARTIAL: 1}), (50.0, "e:9", {}), (6.02, "f:0", {})):
        told = Event("r", time, Kind.LOST, "t", position=position)
        second = listening([(6.01, 2, "e:2"), told], since="e:1", start=6.0)
        # Frames of the start come before its confirmation.
        second.sort(key=lambda event: event.time)
        assert verdict(*records, first + second, stored=True).crimes == crimes


def test_the_order_of_a_publisher_holds_over_a_reconnect() -> None:
    first = listening([(2.1, 2, "e:1")], end=3.0)
    second = listening([(6.1, 1, "e:2")], since="e:1", start=6.0)
    found = verdict(published(1, 1.0), published(2, 1.1), first + second, stored=True)
    assert found.crimes == {Crime.REORDER: 1}


def test_one_position_is_one_publication() -> None:
    found = verdict(
        published(1, 1.0),
        published(2, 1.1),
        listening([(1.2, 1, "e:1"), (1.3, 2, "e:2")]),
        listening([(1.2, 1, "e:2"), (1.3, 2, "e:3")], receiver="s"),
        stored=True,
    )
    assert found.crimes[Crime.POSITION] == 2


def test_the_holes_of_its_own_publications_are_none() -> None:
    frames: list[tuple[float, int, str]] = [(1.1, 1, "e:1"), (3.1, 3, "e:3")]
    records = [published(1, 1.0), published(2, 2.0, excluded="r"), published(3, 3.0)]
    assert verdict(*records, listening(frames), stored=True).crimes == {}
    records[1] = published(2, 2.0)
    assert verdict(*records, listening(frames), stored=True).crimes == {Crime.GAP: 1, Crime.SILENT_LOSS: 1}
    # Where it is known which one is missing, that is one crime.
    records[1] = published(2, 2.0, accepted=Accepted.STORED, position="e:2")
    assert verdict(*records, listening(frames), stored=True).crimes == {Crime.GAP: 1}


def test_what_the_store_has_taken_no_fault_excuses() -> None:
    fault, counter = Fault("cut", 9.0, 11.0), Declared("a", 9)
    taken = published(1, 10.0, accepted=Accepted.STORED, position="e:1")
    assert verdict(taken, fault, counter, listening([]), stored=True).crimes == {Crime.SILENT_LOSS: 1}
    asked = published(1, 10.0)
    found = verdict(asked, fault, counter, listening([]), stored=True)
    assert found.verdict("p1", "r") is Outcome.COUNTED
    found = verdict(
        asked, fault, counter, listening([(10.1, 1, "e:1")]), listening([], receiver="s"), stored=True
    )
    assert found.verdict("p1", "s") is Crime.SILENT_LOSS
    refused = published(1, 10.0, accepted=Accepted.NO)
    assert verdict(refused, listening([]), stored=True).verdict("p1", "r") is Outcome.NOT_CONCERNED


@pytest.mark.parametrize("position", [None, "", "7", "e:", "e:x"])
def test_a_frame_of_a_history_has_a_position(position: str | None) -> None:
    event = Event("r", 1.1, Kind.FRAME, id="p1", digest="d1", position=position)
    assert Crime.GAP in verdict(published(1, 1.0), listening([event]), stored=True).crimes


def test_logs_can_be_written_and_read(tmp_path: Path) -> None:
    logs = simulate(1)
    assert logs.faults and logs.declared
    logs.write(tmp_path / "logs.jsonl")
    again = Logs.read(tmp_path / "logs.jsonl")
    assert again == logs
    assert judge(again, RULES).outcomes == judge(logs, RULES).outcomes


def test_rules_have_a_sound_default() -> None:
    assert 0 < Rules().settle < math.inf and Rules().recover == 2.0
