"""Reads a body."""

from __future__ import annotations

from longwave import Event


async def handler(event: Event) -> dict[str, int]:
    return {"size": len(await event.bytes())}
