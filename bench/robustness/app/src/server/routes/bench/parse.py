"""Looks at everything of a request: query, cookies, the id of a stream, forms, JSON."""

from __future__ import annotations

from typing import Any

from longwave import Event


def get(event: Event) -> dict[str, int]:
    return {"query": len(event.query), "cookies": len(event.cookies), "id": len(event.last_event_id or "")}


async def post(event: Event) -> dict[str, Any]:
    if event.headers.get("content-type", "").startswith("application/json"):
        return {"json": type(await event.json()).__name__}
    return {"fields": len(await event.form())}
