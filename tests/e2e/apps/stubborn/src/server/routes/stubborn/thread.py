"""A handler in a thread, which nothing can end."""

from __future__ import annotations

import time

from longwave import Event, define_event_handler


@define_event_handler(blocking=True)
def handler(event: Event) -> str:
    print("stubborn begun", flush=True)
    time.sleep(60)
    return "late"
