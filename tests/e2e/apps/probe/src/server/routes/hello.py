"""The least that can be asked for, and a body that is counted."""

from __future__ import annotations

from longwave import Event


def get(event: Event) -> str:
    return f"hello {event.query.get('n', '')}".rstrip()


async def post(event: Event) -> dict[str, int]:
    return {"size": len(await event.bytes())}
