"""The measure of growth, by a clock that obeys: what it finds, and what it forgives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core import growth as module
from tests.core.growth import LINEAR, TRIES, growth, quickest

MICROSECOND = 1e-6


class Clock:
    """Goes on by what the runs cost, and by what is in the way of some."""

    def __init__(self, cost: Callable[[int], float], in_the_way: Callable[[int], float]) -> None:
        self.now = 0.0
        self.runs = 0
        self._cost = cost
        self._in_the_way = in_the_way

    def run(self, n: int) -> None:
        self.now += self._cost(n) * MICROSECOND * self._in_the_way(self.runs)
        self.runs += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    def make(cost: Callable[[int], float], in_the_way: Callable[[int], float] = lambda _: 1) -> Clock:
        clock = Clock(cost, in_the_way)
        monkeypatch.setattr(module, "thread_time", lambda: clock.now)
        return clock

    return make


@pytest.mark.parametrize(
    ("cost", "wanted"),
    [
        (lambda n: n, 2),
        (lambda n: n * n, 4),
        (lambda n: n**1.5, 2**1.5),
        (lambda n: 1e6, 1),
        # A square in front of which something linear takes as long.
        (lambda n: 1000 * n + n * n, 3.3),
    ],
    ids=["linear", "square", "between", "constant", "mixed"],
)
def test_mean_of_three_doublings(
    clock: Callable[..., Clock], cost: Callable[[int], float], wanted: float
) -> None:
    assert growth(lambda n: n, clock(cost).run, 1000) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("slow", range(4 * TRIES - 4))
def test_one_quiet_try_is_enough_for_what_is_linear(clock: Callable[..., Clock], slow: int) -> None:
    busy = clock(lambda n: n, lambda runs: 20 if slow <= runs < slow + 4 else 1)
    assert growth(lambda n: n, busy.run, 1000) < LINEAR


@pytest.mark.parametrize("quiet", range(3))
def test_a_square_is_found_where_nearly_every_run_is_disturbed(
    clock: Callable[..., Clock], quiet: int
) -> None:
    busy = clock(lambda n: n * n, lambda runs: 1 if runs % 4 in (quiet, 3) else 20)
    assert growth(lambda n: n, busy.run, 1000) > 3.9
    assert busy.runs == 4 * TRIES


def test_microseconds_are_no_growth(clock: Callable[..., Clock]) -> None:
    assert growth(lambda n: n, clock(lambda n: 0 if n < 2000 else 400).run, 1000) < LINEAR
    assert growth(lambda n: n, clock(lambda n: 0 if n < 2000 else 800).run, 1000) > LINEAR


def test_the_quickest_of_several(clock: Callable[..., Clock]) -> None:
    times = clock(lambda n: n, lambda runs: TRIES - runs)
    assert quickest(lambda: times.run(1000), 0) == pytest.approx(0.001)
    assert times.runs == TRIES
    first = clock(lambda n: n)
    assert quickest(lambda: first.run(1000), 0.002) == pytest.approx(0.001)
    assert first.runs == 1
