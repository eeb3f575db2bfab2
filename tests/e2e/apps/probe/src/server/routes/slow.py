"""An answer that takes a while, or until it is released."""

from __future__ import annotations

import asyncio

from longwave import Event

from ..state import note, released


async def get(event: Event) -> str:
    note("slow begun")
    await asyncio.sleep(float(event.query["seconds"]))
    note("slow ended")
    return "done"


async def post(event: Event) -> str:
    released.set()
    return "released"
