"""How the time of a parser grows: n against 2n."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

__all__ = ["growth"]

T = TypeVar("T")


def growth(make: Callable[[int], T], run: Callable[[T], object], n: int) -> float:
    """Return the best ratio, of four tries, of the time for `make(2 * n)` to that for `make(n)`.

    Linear is 2, quadratic is 4; the best of several runs, because a busy machine only ever adds.
    """
    small, large = make(n), make(2 * n)
    return min(_best(run, large) / _best(run, small) for _ in range(4))


def _best(run: Callable[[T], object], value: T) -> float:
    times = []
    for _ in range(5):
        begin = perf_counter()
        run(value)
        times.append(perf_counter() - begin)
    return min(times)
