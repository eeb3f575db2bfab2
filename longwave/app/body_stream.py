"""A response body that is an async iterator: the session that writes it as the client takes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from typing import Any

from longwave.app.pump import close_items
from longwave.app.runtime import Runtime
from longwave.contract import Link
from longwave.types import SendStatus

__all__ = ["BodyStream"]

error_log = logging.getLogger("longwave.error")


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


def _chunk(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise TypeError(f"a streamed body is made of str or bytes, not {type(item).__name__}")
