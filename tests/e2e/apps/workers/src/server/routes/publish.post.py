"""Publishes to every namespace."""

from __future__ import annotations

from longwave import Event


async def post(event: Event) -> None:
    event.app.publish(event.query["topic"], await event.text())
