"""Fails before the route or after it, where the query says so."""

from __future__ import annotations

from typing import Any

from longwave import Event
from longwave.app.handlers import Next


async def middleware(event: Event, next: Next) -> Any:
    failing = event.query.get("fail")
    if failing == "middleware":
        raise RuntimeError(f"boom {event.query['id']}.")
    response = await next()
    if failing == "middleware after":
        raise RuntimeError(f"boom {event.query['id']}.")
    return response
