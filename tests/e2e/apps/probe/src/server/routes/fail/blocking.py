"""A handler that fails in a thread."""

from __future__ import annotations

from longwave import Event, define_event_handler

from ...state import fail_at


@define_event_handler(blocking=True)
def handler(event: Event) -> str:
    fail_at(event, "blocking")
    return "well"
