"""Counts of bytecode for each series, as a table of figures."""

from __future__ import annotations

import uvloop

from bench.guard.bounds import Figures
from bench.guard.bytecode import cost_of
from bench.guard.work import TURNS, all_series

__all__ = ["count_bytecode"]


def count_bytecode() -> Figures:
    """Return instructions and calls per message of each series."""
    # The loop itself is C there: nothing of it is counted.
    return uvloop.run(_count())


async def _count() -> Figures:
    figures: Figures = {}
    for series in await all_series():
        cost = await cost_of(series.run())
        messages = TURNS * series.messages
        figures[series.name] = {
            "instructions": round(cost.instructions / messages, 2),
            "calls": round(cost.calls / messages, 2),
        }
    return figures
