from __future__ import annotations

import pytest

from longwave.core.bucket import Bucket


def taken(bucket: Bucket, now: float) -> int:
    """Take at one moment until there is none; return how many there were."""
    count = 0
    while bucket.take(now):
        count += 1
    return count


@pytest.mark.parametrize("start", [-5.0, 0.0, 1e6])
def test_is_full_at_first_whatever_the_time(start: float) -> None:
    assert taken(Bucket(3), start) == 3


def test_fills_with_time_and_not_above_one_second() -> None:
    bucket = Bucket(4)
    assert taken(bucket, 10.0) == 4
    assert taken(bucket, 10.0) == 0
    assert taken(bucket, 10.5) == 2
    assert taken(bucket, 1000.0) == 4


def test_what_is_refused_costs_nothing() -> None:
    bucket = Bucket(1)
    assert bucket.take(0.0)
    # Each asks too early; the fractions still add up to one token.
    assert [bucket.take(step / 4) for step in range(1, 5)] == [False, False, False, True]


def test_keeps_its_rate_over_time() -> None:
    bucket = Bucket(4)
    # Asked 16 times a second for 10 seconds: the 4 that were there, and 4 for each second.
    assert sum(bucket.take(step / 16) for step in range(161)) == 4 + 40
