"""Holds the loop: nobody is heard meanwhile."""

from __future__ import annotations

import time

from longwave import Event


def get(event: Event) -> str:
    time.sleep(float(event.query["seconds"]))
    return "over"
