"""A small object."""

from __future__ import annotations

from longwave import Event


def get(event: Event) -> dict[str, str]:
    return {"message": "Hello, world!"}
