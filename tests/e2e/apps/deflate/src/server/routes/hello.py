"""A page for a browser to be on, and what is open."""

from __future__ import annotations

from typing import Any

from longwave import Event


def handler(event: Event) -> dict[str, Any]:
    return event.app.stats()
