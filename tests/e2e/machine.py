"""Who used the processors while a test measured: its own processes, or others.

A time on the clock says something about the server only while nobody else keeps the processors busy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "Usage", "others"]

TICKS = os.sysconf("SC_CLK_TCK")
CROWDED = 0.1
"""The share of all processors from which on the times of others are not ours to judge."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used up to a moment, in seconds."""

    clock: float
    all: float
    """The processor time of all processes, and what a host took from this machine."""
    ours: float
    """That of this process and all that it has started."""


class Machine:
    """The machine from now on."""

    def __init__(self) -> None:
        self._began = _usage()

    def is_crowded(self) -> bool:
        """Tell whether other programs have taken so much since that times on the clock say nothing."""
        share = others(self._began, _usage())
        if share > CROWDED:
            print(f"measured beside others, who took {share:.0%} of the processors")
        return share > CROWDED


def others(before: Usage, after: Usage, processors: int = os.cpu_count() or 1) -> float:
    """Return the share of all processors that others took between two moments."""
    seconds = (after.all - before.all) - (after.ours - before.ours)
    return seconds / (processors * (after.clock - before.clock))


def _usage() -> Usage:
    # Of Linux alone; elsewhere nothing is known of others.
    if not Path("/proc/stat").exists():
        return Usage(time.monotonic(), 0.0, 0.0)
    user, nice, system, _, _, _, _, stolen = Path("/proc/stat").read_text().split()[1:9]
    # Interrupts are left out: those of the loopback device are ours, and nobody's process.
    total = sum(map(int, (user, nice, system, stolen)))
    return Usage(time.monotonic(), total / TICKS, sum(_family(os.getpid())) / TICKS)


def _family(pid: int) -> Iterator[int]:
    """Yield the ticks of a process and its descendants, those that have ended included."""
    parents: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(")")[2].split()
            member = int(path.parent.name)
            parents.setdefault(int(fields[1]), []).append(member)
            ticks[member] = sum(map(int, fields[11:15]))
    family = [pid]
    for member in family:
        yield ticks.get(member, 0)
        family += parents.get(member, [])
