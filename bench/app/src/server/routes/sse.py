"""A stream of what is said in the room; a POST says it."""

from __future__ import annotations

from longwave import Event, EventStream, create_event_stream


def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    stream.subscribe("room")
    return stream


async def post(event: Event) -> None:
    event.app.publish("room", await event.text())
