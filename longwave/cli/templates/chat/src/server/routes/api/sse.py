"""The clock, an event stream at http://localhost:3000/api/sse."""

from datetime import datetime

from longwave import Event, EventStream, create_event_stream


async def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    stream.every(1.0, lambda: stream.push(f"Message @ {datetime.now():%X}"))
    return stream
