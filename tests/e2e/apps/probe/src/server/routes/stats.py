"""Everything that can be counted inside the process."""

from __future__ import annotations

import asyncio
from typing import Any

from longwave import Event

from ..state import latest, noted, server_stats


def get(event: Event) -> dict[str, Any]:
    return {
        "app": event.app.stats(),
        "server": server_stats(),
        "tasks": len(asyncio.all_tasks()),
        "noted": dict(noted),
        "latest": dict(latest),
    }
