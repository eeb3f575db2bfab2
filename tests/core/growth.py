"""How the time of a parser grows with its input, told the same way on a quiet and on a busy machine.

What counts is the processor time of this thread, which other programs do not add to; they still slow it down
a little, by what they do to the caches, so that a time that is too long is measured again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from math import cbrt, inf
from time import thread_time
from typing import TypeVar

__all__ = ["LINEAR", "growth", "quickest"]

T = TypeVar("T")

LINEAR = 2 * 2**0.5
"""What `growth` is below for what is linear: as far from its 2 as from the 4 of a square."""

TRIES = 5
NOISE = 25e-6
"""Seconds that caches, memory that is new and the clock may cost: less than that is not worth a look."""


def growth(make: Callable[[int], T], run: Callable[[T], object], n: int) -> float:
    """Return by what the time grows when the input doubles.

    That is the mean of the three doublings from `make(n)` to `make(8 * n)`, so that 8 stands against 64
    where it is 2 against 4. It is measured several times, unless it is good before.
    """
    small, large = make(n), make(8 * n)
    short = long = inf
    for _ in range(TRIES):
        short = min(short, *(_seconds(lambda: run(small)) for _ in range(3)))
        long = min(long, _seconds(lambda: run(large)))
        result = cbrt((long + NOISE) / (short + NOISE))
        if result < LINEAR:
            break
    return result


def quickest(run: Callable[[], object], bound: float) -> float:
    """Return the shortest processor time of several calls in seconds; one within the bound is the last."""
    best = inf
    for _ in range(TRIES):
        best = min(best, _seconds(run))
        if best < bound:
            break
    return best


def _seconds(run: Callable[[], object]) -> float:
    """Return the processor time of a call; the collector would look at all that other tests left."""
    collects = gc.isenabled()
    gc.disable()
    try:
        began = thread_time()
        run()
        return thread_time() - began
    finally:
        if collects:
            gc.enable()
