"""Pushes numbered events, as many as it is asked for, as fast as the client takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from longwave import Event

from ...state import note


async def get(event: Event) -> AsyncIterator[str]:
    size = int(event.query["size"])
    for number in range(int(event.query["count"])):
        note("pushed")
        yield f"{number:<{size}}"
