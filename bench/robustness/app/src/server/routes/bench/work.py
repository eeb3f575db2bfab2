"""Holds the loop for so many milliseconds: what a busy handler does."""

from __future__ import annotations

import time

from longwave import Event


def get(event: Event) -> str:
    until = time.perf_counter() + float(event.query.get("ms", "4")) / 1000
    while time.perf_counter() < until:
        pass
    return "done"
