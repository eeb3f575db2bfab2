"""Listens to the flood."""

from __future__ import annotations

from longwave import Event, EventStream, create_event_stream

from ...state import note


async def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    stream.subscribe("flood")
    await stream.push("begun")

    @stream.on_closed
    def closed() -> None:
        note("stream closed")

    return stream
