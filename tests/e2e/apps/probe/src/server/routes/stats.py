"""Everything that can be counted inside the process."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from longwave import Event

from ..state import latest, noted, server_stats


def get(event: Event) -> dict[str, Any]:
    return {
        "app": event.app.stats(),
        "server": server_stats(),
        "files": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "noted": dict(noted),
        "latest": dict(latest),
    }
