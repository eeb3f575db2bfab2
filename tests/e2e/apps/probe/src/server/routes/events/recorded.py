"""Plays the events of a file; who comes back is told with which id."""

from __future__ import annotations

import json
import os
from pathlib import Path

from longwave import Event, EventMessage, EventStream, create_event_stream


async def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    if event.last_event_id is not None:
        await stream.push(EventMessage({"last": event.last_event_id}, event="over"))
        return stream
    for fields in json.loads(Path(os.environ["PROBE_EVENTS"]).read_text()):
        await stream.push(EventMessage(**fields))
    await stream.close()
    return stream
