"""What the handler saw of the connection from a port; told once."""

from __future__ import annotations

from typing import Any

from longwave import Event

from ...notes import take


def get(event: Event) -> dict[str, Any]:
    return take(int(event.params["port"]))
