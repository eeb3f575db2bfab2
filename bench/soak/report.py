"""What a soak run showed: the verdict, the page, the picture."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

__all__ = ["Sample", "Verdict", "judge", "machine", "plot", "write"]

KIB = 1024
MIB = 1024 * KIB
WARM = 1 / 3
"""The part of a run in which memory still finds its level."""
MAY_GROW = 2 * MIB
"""What memory may grow by after that: it wavers by as much."""
PER_CONNECTION = 64
"""Bytes for each connection that came and went after that: less than the smallest object that could leak."""
COUNTED = ("files", "tasks", "peers", "streams", "topics", "connections")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the server."""

    seconds: float
    rss: int
    opened: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the samples say."""

    grown: int
    """Bytes between the beginning of the level part and the end."""
    churned: int
    """Connections that came meanwhile."""
    slope: float
    """Bytes a minute in the level part: the median of all pairs of samples (Theil and Sen)."""
    leaks: dict[str, int]
    """What was there at the end, above what there was before the first connection."""
    faults: list[str]


def judge(samples: Sequence[Sample], before: dict[str, int], after: dict[str, int]) -> Verdict:
    """Return whether anything grew that should not have, and whether anything was left over."""
    level = [sample for sample in samples if sample.seconds >= WARM * samples[-1].seconds]
    quarter = max(1, len(level) // 4)
    first, last = level[:quarter], level[-quarter:]
    grown = int(median(sample.rss for sample in last) - median(sample.rss for sample in first))
    churned = last[-1].opened - first[0].opened
    slopes = [
        (later.rss - sooner.rss) / (later.seconds - sooner.seconds)
        for at, sooner in enumerate(level)
        for later in level[at + 1 :]
    ]
    leaks = {name: after[name] - before[name] for name in COUNTED if after[name] != before[name]}
    faults = [f"{count:+d} {name} are left" for name, count in leaks.items()]
    if grown > max(MAY_GROW, PER_CONNECTION * churned):
        faults.append(f"memory grew by {grown / MIB:.1f} MiB over {churned} connections")
    for name in COUNTED:
        counts = [sample.counts[name] for sample in level]
        half = len(counts) // 2
        sooner, later = median(counts[:half] or counts), median(counts[half:])
        if later > 1.1 * sooner + 20:
            faults.append(f"{name} grew from {sooner:g} to {later:g}")
    return Verdict(grown, churned, 60 * median(slopes) if slopes else 0.0, leaks, faults)


def write(
    page: Path, verdict: Verdict, samples: Sequence[Sample], facts: dict[str, str], picture: str
) -> None:
    """Write the result as a page."""
    rows = {
        **facts,
        "memory at the beginning of the level part": f"{_level(samples)[0].rss / MIB:.1f} MiB",
        "memory at the end": f"{samples[-1].rss / MIB:.1f} MiB",
        "growth in the level part": f"{verdict.grown / KIB:+.0f} KiB over {verdict.churned} connections",
        "slope of memory": f"{verdict.slope / KIB:+.1f} KiB a minute",
        **{f"{name} left over": str(verdict.leaks.get(name, 0)) for name in COUNTED},
        "verdict": "; ".join(verdict.faults) or "nothing grows, nothing is left",
    }
    lines = [
        "# Soak",
        "",
        "Written by `make soak`; [what it does](../topics/robustness.md#soak).",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
    ]
    if picture:
        lines += [f"![Memory, descriptors, tasks and connections over time]({picture})", ""]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines))


def plot(file: Path, samples: Sequence[Sample]) -> bool:
    """Draw the samples; False where matplotlib is not installed (the extra `bench` has it)."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    seconds = [sample.seconds for sample in samples]
    figure, (upper, lower) = pyplot.subplots(2, 1, figsize=(9, 6), sharex=True, constrained_layout=True)
    upper.plot(seconds, [sample.rss / MIB for sample in samples], color="#1b6ca8", label="resident memory")
    upper.axvspan(0, WARM * seconds[-1], color="0.95", label="not judged")
    upper.set_ylim(bottom=0)
    upper.set_ylabel("MiB")
    upper.legend(loc="lower right", frameon=False)
    for name, colour in (("connections", "#1b6ca8"), ("files", "#e07a1f"), ("peers", "#3a923a"),
                         ("streams", "#b03a5b"), ("tasks", "#6d5acf"), ("topics", "#7f7f7f")):  # fmt: skip
        lower.plot(
            seconds, [sample.counts[name] for sample in samples], color=colour, label=name, linewidth=1
        )
    lower.set_ylim(bottom=0)
    lower.set_xlabel("seconds")
    lower.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=6, frameon=False, fontsize="small")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
    return True


def machine() -> str:
    """Return what the figures were measured on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {python}, {sys.platform}"


def _level(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.seconds >= WARM * samples[-1].seconds]
