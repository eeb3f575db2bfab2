"""What there is in the process."""

from __future__ import annotations

import asyncio
import gc
import os

from longwave import Event


def get(event: Event) -> dict[str, int]:
    if event.query.get("collect"):
        gc.collect()
    stats = event.app.stats()
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()) + stats["tasks"],
        "peers": stats["peers"],
        "streams": stats["streams"],
        "topics": stats["topics"],
        "connections": stats["server.connections"],
        "opened": stats["server.opened"],
        "messages": stats["server.messages"],
        "errors": stats["errors"],
    }
