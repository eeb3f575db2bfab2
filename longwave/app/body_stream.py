"""A response body that is an async iterator: the session that writes it as the client takes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from longwave.app.event_stream import close_items
from longwave.app.runtime import Runtime
from longwave.contract import Link
from longwave.types import SendStatus

__all__ = ["BodyStream"]

error_log = logging.getLogger("longwave.error")


class BodyStream:
    """Writes what an async iterator of bytes or text yields, and waits when the client is slow."""

    __slots__ = ("_items", "_runtime", "_task")

    def __init__(self, runtime: Runtime, items: AsyncIterator[str | bytes]) -> None:
        self._runtime = runtime
        self._items = items
        self._task: asyncio.Task[None] | None = None

    def opened(self, link: Link) -> None:
        """Begin to write."""
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
        if self._task is not None:
            self._task.cancel()

    async def _write(self, link: Link) -> None:
        half = self._runtime.limits.outgoing // 2
        try:
            async for item in self._items:
                chunk = item.encode() if isinstance(item, str) else bytes(item)
                status = link.write(link.wire.frame(chunk, False))
                if status is SendStatus.BUFFERED:
                    await link.drained(half)
                elif status is SendStatus.CLOSED:
                    return
        except Exception as error:
            # The head is out: only a body that is cut short tells the client.
            self._runtime.count_error()
            error_log.error("a streamed body failed", exc_info=error)
            link.abort()
            return
        finally:
            await close_items(self._items)
        link.close()
