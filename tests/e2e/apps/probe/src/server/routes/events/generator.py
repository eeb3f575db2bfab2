"""The same as a generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from longwave import Event

from ...state import note, report


async def get(event: Event) -> AsyncIterator[str]:
    try:
        yield "begun"
        await asyncio.sleep(3600)
    finally:
        note("generator closed")
        report("generator")
