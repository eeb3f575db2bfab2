"""Listens to the room."""

from __future__ import annotations

from longwave import Event, EventStream, create_event_stream


async def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    stream.subscribe("room")
    await stream.push("joined")
    return stream
