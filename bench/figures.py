"""Medians, quartiles and ratios of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ["MORE_IS_BETTER", "Figure", "figure", "ratio"]

MORE_IS_BETTER = ("rate", "capacity")
"""Of all other figures less is better."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A median with its quartiles."""

    median: float
    low: float
    high: float
    count: int


def figure(values: Sequence[float]) -> Figure | None:
    """Return the median and quartiles; `None` where there is nothing."""
    if not values:
        return None
    if len(values) == 1 or max(values) == float("inf"):
        ordered = sorted(values)
        return Figure(ordered[len(ordered) // 2], ordered[0], ordered[-1], len(values))
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Figure(median(values), low, high, len(values))


def ratio(
    ours: Mapping[int, Mapping[str, float]], theirs: Mapping[int, Mapping[str, float]], name: str
) -> Figure | None:
    """Return how many times better ours is: the median of the rounds' ratios, each within one round."""
    values = []
    for number, sample in ours.items():
        other = theirs.get(number)
        if other is None or name not in sample or name not in other:
            continue
        better, worse = (sample, other) if name in MORE_IS_BETTER else (other, sample)
        if worse[name] > 0 and better[name] < float("inf"):
            values.append(better[name] / worse[name])
    return figure(values)
