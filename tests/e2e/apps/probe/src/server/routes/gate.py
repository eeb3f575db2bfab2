"""Opens and shuts the gate."""

from __future__ import annotations

from longwave import Event

from ..gate import gate


def post(event: Event) -> dict[str, bool]:
    gate.set()
    return {"open": True}


def delete(event: Event) -> dict[str, bool]:
    gate.clear()
    return {"open": False}
