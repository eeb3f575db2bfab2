"""The counters of the worker that answers."""

from __future__ import annotations

import os

from longwave import Event


def get(event: Event) -> dict[str, int]:
    return {**event.app.stats(), "worker": int(os.environ["LONGWAVE_WORKER"])}
