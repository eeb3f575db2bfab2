"""Answers any request but those to the routes once its body is whole, and notes it."""

from __future__ import annotations

from longwave import Event, define_middleware

from ..notes import begun, port, whole


@define_middleware
async def middleware(event: Event) -> str | None:
    if event.path in ("/ws", "/deflate") or event.path.startswith("/seen/"):
        return None
    client = port(event)
    begun[client] = begun.get(client, 0) + 1
    body = await event.bytes()
    target = event.request.target
    whole.setdefault(client, []).append([event.method, target.decode("latin-1"), body.decode("latin-1")])
    return "ok"
