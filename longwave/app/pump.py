"""Drives an async iterator that a handler returned: its items are the events of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from longwave.app.event_message import EventMessage
from longwave.app.event_stream import EventStream

__all__ = ["END_ID", "close_items", "pump"]

END_ID = "longwave-end"
"""The id of the last event; a client that brings it again is answered 204, and stops."""


async def pump(stream: EventStream, items: AsyncIterator[Any], begun: asyncio.Future[None]) -> None:
    """Push what an async iterator yields, and end for good.

    `begun` is done at its first item, or error. One task drives the iterator from its first step to its end,
    as what it opens in one may need. The last event has an id that makes a returning EventSource be answered
    204, so that it stops.
    """
    try:
        try:
            item = await anext(items, _NOTHING)
        except (Exception, asyncio.CancelledError) as error:
            if begun.done():
                raise
            begun.set_exception(_status_error(error))
            return
        if not begun.done():
            begun.set_result(None)
        while item is not _NOTHING:
            if not await stream.push(item):
                return
            item = await anext(items, _NOTHING)
        await stream.push(EventMessage("", event="longwave:end", id=END_ID))
    finally:
        try:
            await close_items(items)
        finally:
            stream.end()


async def close_items(items: Any) -> None:
    """Close an async generator, so that its `finally` blocks run now."""
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


def _status_error(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    cancelled = RuntimeError("the generator was cancelled before its first item")
    cancelled.__cause__ = error
    return cancelled


_NOTHING: Any = object()
