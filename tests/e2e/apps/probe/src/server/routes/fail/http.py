"""Handlers that fail: sync, async, and each way in which a stream can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from longwave import Event, EventStream, Response, create_event_stream

from ...state import fail_at, note


def get(event: Event) -> str:
    fail_at(event, "sync")
    return "well"


async def post(event: Event) -> str:
    await event.bytes()
    await asyncio.sleep(0)
    fail_at(event, "async")
    return "well"


async def put(event: Event) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        fail_at(event, "body")
        yield b"second"

    return Response(body())


def delete(event: Event) -> Any:
    """Return what cannot be sent: only here the number does not appear in the log."""
    return object()


async def patch(event: Event) -> EventStream:
    stream = create_event_stream(event)
    await stream.push("begun")

    async def fail() -> None:
        fail_at(event, "spawn")
        fail_at(event, "every")

    if event.query["fail"] == "spawn":
        stream.spawn(fail())
    elif event.query["fail"] == "every":
        stream.every(0.001, fail)
    elif event.query["fail"] == "closed":

        @stream.on_closed
        def first() -> None:
            fail_at(event, "closed")

    elif event.query["fail"] == "closed later":

        @stream.on_closed
        async def later() -> None:
            await asyncio.sleep(0)
            fail_at(event, "closed later")

    stream.on_closed(lambda: note("closed after a failure"))
    fail_at(event, "handler")
    return stream
