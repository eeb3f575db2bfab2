"""How often a topic is published to."""

from __future__ import annotations

from longwave.hub.outgoing import Channel
from longwave.inspector.tally import Tally


def heard(topic: str) -> Channel:
    channel = Channel(topic, None)
    channel.subscribers = {object(): None}  # type: ignore[dict-item]
    return channel


def test_rates_are_those_of_the_span_before() -> None:
    tally, one, two = Tally(10.0), heard("one"), heard("two")
    for _ in range(4):
        tally.add([one, two])
    assert (tally.count(one), tally.rate(one)) == (4, 0.0)
    tally.turn(12.0)
    tally.add([one])
    assert (tally.count(one), tally.rate(one)) == (5, 2.0)
    tally.turn(13.0)
    assert (tally.rate(one), tally.rate(two), tally.count(two)) == (1.0, 0.0, 4)


def test_no_time_is_no_span() -> None:
    tally, one = Tally(10.0), heard("one")
    tally.add([one])
    tally.turn(10.0)
    tally.turn(11.0)
    assert tally.rate(one) == 1.0


def test_topics_without_listeners_are_forgotten() -> None:
    tally, gone = Tally(0.0), heard("gone")
    tally.add([gone])
    gone.subscribers.clear()
    tally.turn(1.0)
    assert tally.count(gone) == 0 and tally._counts == {}
