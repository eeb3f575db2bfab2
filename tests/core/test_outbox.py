"""The backlog of a slow client, alone."""

from __future__ import annotations

import random

import pytest

from longwave.core.outbox import Outbox
from longwave.types import SendStatus, SlowPolicy

SENT, BUFFERED, DROPPED, CLOSED = (
    SendStatus.SENT,
    SendStatus.BUFFERED,
    SendStatus.DROPPED,
    SendStatus.CLOSED,
)


def test_below_the_bound_one_whole_piece_is_taken() -> None:
    outbox = Outbox(100)
    assert outbox.offer(b"a", 50) is SENT
    assert outbox.offer(b"b", 49) is BUFFERED
    assert outbox.offer(b"c", 1000) is BUFFERED
    assert (outbox.size, len(outbox), outbox.dropped) == (1099, 3, 0)


def test_what_the_network_holds_counts() -> None:
    outbox = Outbox(100)
    assert outbox.offer(b"a", 1, held=49) is SENT
    assert outbox.offer(b"b", 1, held=50) is BUFFERED
    assert outbox.offer(b"c", 1, held=98) is CLOSED


def test_close_drops_all_but_what_is_kept() -> None:
    outbox = Outbox(100, SlowPolicy.CLOSE)
    outbox.offer(b"a", 60)
    outbox.keep(b"ping", 4)
    outbox.offer(b"b", 60)
    assert outbox.offer(b"c", 1) is CLOSED
    assert (outbox.size, outbox.dropped) == (4, 3)
    assert outbox.take() == [b"ping"]


def test_drop_new() -> None:
    outbox = Outbox(100, SlowPolicy.DROP_NEW)
    outbox.offer(b"a", 100)
    assert outbox.offer(b"b", 1) is DROPPED
    assert outbox.take(1000) == [b"a"]
    assert outbox.dropped == 1
    assert outbox.offer(b"c", 1) is SENT


def test_drop_old_never_drops_what_is_kept() -> None:
    outbox = Outbox(100, SlowPolicy.DROP_OLD)
    outbox.keep(b"ping 1", 6)
    outbox.offer(b"a", 40)
    outbox.keep(b"ping 2", 6)
    outbox.offer(b"b", 60)
    assert outbox.offer(b"c", 50) is BUFFERED
    assert outbox.take(1000) == [b"ping 1", b"ping 2", b"b", b"c"]
    assert (outbox.size, outbox.dropped) == (0, 1)


def test_drop_old_drops_the_new_where_nothing_old_can_go() -> None:
    outbox = Outbox(100, SlowPolicy.DROP_OLD)
    outbox.offer(b"a", 10, held=90)
    assert outbox.offer(b"b", 10, held=200) is DROPPED
    assert (outbox.size, outbox.dropped) == (0, 2)


def test_take_stops_at_enough() -> None:
    outbox = Outbox(1000)
    for piece in (b"a", b"b", b"c"):
        outbox.offer(piece, 10)
    assert outbox.take(11) == [b"a", b"b"]
    assert outbox.size == 10
    assert outbox.take() == [b"c"]
    assert outbox.take() == []


@pytest.mark.parametrize("policy", list(SlowPolicy))
def test_any_history(policy: SlowPolicy) -> None:
    rng = random.Random(7)
    for _ in range(200):
        bound = rng.randint(1, 300)
        outbox = Outbox(bound, policy)
        model: list[tuple[int, int, bool]] = []
        out: list[int] = []
        for number in range(100):
            size = rng.randint(1, 120)
            held = rng.choice((0, 0, rng.randint(0, bound)))
            action = rng.random()
            if action < 0.1:
                outbox.keep(number, size)
                model.append((number, size, True))
            elif action < 0.7:
                before = outbox.dropped
                status = outbox.offer(number, size, held)
                if status in (SENT, BUFFERED):
                    model.append((number, size, False))
                    over = 2 * (held + outbox.size) > bound
                    assert status is (BUFFERED if over else SENT)
                    assert held + outbox.size - size < bound
                else:
                    assert outbox.dropped > before
                if policy is SlowPolicy.DROP_NEW and status is DROPPED:
                    assert outbox.dropped == before + 1
            else:
                out += outbox.take(rng.randint(0, 200))
        out += outbox.take(1 << 30)
        assert outbox.size == 0
        assert out == sorted(out)
        # No policy touches what is kept; what was dropped and what came out are all there was.
        assert {number for number, size, kept in model if kept} <= set(out)
        assert len(out) <= len(model)
        if policy is not SlowPolicy.DROP_OLD:
            assert policy is SlowPolicy.CLOSE or len(out) == len(model)
