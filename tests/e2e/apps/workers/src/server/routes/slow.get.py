"""Takes a while."""

from __future__ import annotations

import asyncio


async def get() -> str:
    await asyncio.sleep(0.3)
    return "done"
