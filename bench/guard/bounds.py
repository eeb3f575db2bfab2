"""The committed bounds, for each version of Python: bytecode is another in each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypeAlias

__all__ = ["Figures", "over", "read_bounds", "write_bounds"]

Figures: TypeAlias = dict[str, dict[str, float]]

FILE = Path(__file__).with_name("bounds.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SLACK = 1.02
"""A little more is no regression: a patch release may compile a line differently."""


def read_bounds() -> Figures:
    """Return the bounds for the Python that runs; empty where there are none."""
    found: Figures = _all().get(VERSION, {})
    return found


def write_bounds(figures: Figures) -> None:
    """Take figures as the bounds for the Python that runs."""
    FILE.write_text(json.dumps(_all() | {VERSION: figures}, indent=1) + "\n")


def over(figures: Figures, bounds: Figures) -> list[str]:
    """Return a sentence for each figure that is over its bound, or that is bounded and was not counted."""
    return [
        f"{name}: {figures[name][what]} {what}, where {bound} are allowed"
        for name, limits in bounds.items()
        if name in figures
        for what, bound in limits.items()
        if figures[name][what] > bound * SLACK + 0.01
    ]


def _all() -> dict[str, Figures]:
    known: dict[str, Figures] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return known
