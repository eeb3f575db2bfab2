"""Async iterators that handlers return: their items are events of a stream, or parts of a response body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any

from longwave.app.runtime import Runtime
from longwave.app.values import EventMessage
from longwave.contract import Link
from longwave.types import SendStatus

if TYPE_CHECKING:
    from longwave.app.event_stream import EventStream

__all__ = ["END_ID", "BodyStream", "close_items", "pump"]

error_log = logging.getLogger("longwave.error")

END_ID = "longwave-end"
"""The id of the last event; a client that brings it again is answered 204, and stops."""


class BodyStream:
    """Writes what an async iterator of bytes or text yields, as the client takes it.

    The iterator is closed in any case: when it ends, fails or is not wanted, also where it never began.
    """

    __slots__ = ("_is_over", "_items", "_runtime", "_task")

    def __init__(self, runtime: Runtime, items: AsyncIterable[str | bytes]) -> None:
        self._runtime = runtime
        self._items: AsyncIterable[str | bytes] | None = items
        self._is_over = False
        self._task: asyncio.Task[None] | None = None

    def skip(self) -> None:
        """Write nothing: the head is all that is wanted."""
        self.closed(1000, "")

    def opened(self, link: Link) -> None:
        """Begin to write."""
        if self._is_over:
            link.close()
            return
        self._task = self._runtime.loop.create_task(self._write(link))
        self._runtime.wait_for((self._task,))

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Nothing comes on a response."""

    def pinged(self, data: bytes) -> None:
        """Nothing comes on a response."""

    def ponged(self, data: bytes) -> None:
        """Nothing comes on a response."""

    def drained(self) -> None:
        """The writer waits by itself."""

    def closed(self, code: int, reason: str) -> None:
        """End the iterator, whose `finally` blocks run."""
        if self._is_over:
            return
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        if self._items is not None:
            self._runtime.background(self._close_after(self._task), "closing a streamed body")

    async def _write(self, link: Link) -> None:
        half = self._runtime.limits.outgoing // 2
        try:
            assert self._items is not None
            async for item in self._items:
                status = link.write(link.wire.frame(_chunk(item), False))
                if status is SendStatus.BUFFERED:
                    await link.drained(half)
                elif status is SendStatus.CLOSED:
                    break
            await self._close_items()
        except (Exception, asyncio.CancelledError) as error:
            # The head is out: only a body that is cut short tells the client.
            link.abort()
            if not self._is_over:
                self._runtime.count_error()
                error_log.error("a streamed body failed", exc_info=error)
                await self._close_items()
            return
        link.close()

    async def _close_after(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            await asyncio.wait((task,))
        await self._close_items()

    async def _close_items(self) -> None:
        items, self._items = self._items, None
        await close_items(items)


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


def _chunk(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise TypeError(f"a streamed body is made of str or bytes, not {type(item).__name__}")


_NOTHING: Any = object()
