"""A generator that fails before its first item, or after it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from longwave import Event

from ...state import fail_at, note


async def get(event: Event) -> AsyncIterator[str]:
    try:
        fail_at(event, "before")
        yield "first"
        fail_at(event, "after")
        yield "second"
    finally:
        note("generator closed")
