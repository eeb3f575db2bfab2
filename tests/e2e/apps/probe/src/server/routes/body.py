"""Reads a body when the gate is open."""

from __future__ import annotations

from longwave import Event

from ..gate import gate
from ..state import note


async def post(event: Event) -> dict[str, int]:
    note("body asked for")
    await gate.wait()
    size = 0
    async for piece in event.chunks():
        size += len(piece)
    return {"size": size}
