"""How the connections of `echo` ended, as their close hooks were told."""

from __future__ import annotations

from longwave import Event

from ...seen import seen


def get(event: Event) -> dict[str, int]:
    return {str(code): count for code, count in seen.items()}
