"""Many bytes."""

from __future__ import annotations

from longwave import Event


def get(event: Event) -> bytes:
    return b"x" * int(event.query["size"])
