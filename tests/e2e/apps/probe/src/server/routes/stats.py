"""Everything that can be counted inside the process."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from longwave import Event

from ..state import latest, noted


def get(event: Event) -> dict[str, Any]:
    stats = event.app.stats()
    server = "server."
    return {
        "app": stats,
        "server": {name.removeprefix(server): stats[name] for name in stats if name.startswith(server)},
        "files": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "noted": dict(noted),
        "latest": dict(latest),
    }
