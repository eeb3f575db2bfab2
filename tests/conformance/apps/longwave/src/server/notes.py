"""What handlers saw, by the client's port."""

from __future__ import annotations

from typing import Any

from longwave import Event

begun: dict[int, int] = {}
whole: dict[int, list[list[str]]] = {}


def port(event: Event) -> int:
    address = event.remote_address
    return 0 if address is None else address[1]


def take(of: int) -> dict[str, Any]:
    return {"begun": begun.pop(of, 0), "whole": whole.pop(of, [])}
