"""A stream that says one thing and then waits."""

from __future__ import annotations

from longwave import Event, EventStream, create_event_stream

from ...state import note, report


async def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    await stream.push("begun")

    @stream.on_closed
    def closed() -> None:
        note("stream closed")
        report("stream")

    return stream
