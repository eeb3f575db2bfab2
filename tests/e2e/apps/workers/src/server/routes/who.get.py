"""Which worker answers, and its process."""

from __future__ import annotations

import os

from longwave import Event


def get(event: Event) -> dict[str, int]:
    return {"worker": int(os.environ["LONGWAVE_WORKER"]), "pid": os.getpid()}
