"""A generator that comes to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

from longwave import Event, EventMessage

from ...state import note


async def get(event: Event) -> AsyncIterator[EventMessage]:
    note("three begun")
    for number in range(3):
        yield EventMessage(str(number), id=str(number), retry=20)
    note("three ended")
