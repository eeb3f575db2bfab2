"""What is called at the end of a stream: each once, one after the other, whichever fails."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longwave.app.runtime import Runtime

__all__ = ["Callbacks"]

error_log = logging.getLogger("longwave.error")


class Callbacks:
    """Callbacks of one end; one that comes after it is called after those before it."""

    __slots__ = ("_is_calling", "_runtime", "_waiting", "_what")

    def __init__(self, runtime: Runtime, what: str) -> None:
        self._runtime = runtime
        self._what = what
        self._waiting: deque[Callable[[], Any]] = deque()
        self._is_calling = False

    def add(self, callback: Callable[[], Any]) -> None:
        """Add a callback, sync or async."""
        self._waiting.append(callback)

    def call(self) -> None:
        """Call what waits, in a task."""
        if self._waiting and not self._is_calling:
            self._is_calling = True
            self._runtime.background(self._call_each(), self._what)

    async def _call_each(self) -> None:
        while self._waiting:
            callback = self._waiting.popleft()
            try:
                result = callback()
                if inspect.isawaitable(result):
                    await result
            except (Exception, asyncio.CancelledError) as error:
                # Also when it took so long that the shutdown cancelled it: the next one has its turn.
                self._runtime.count_error()
                error_log.error("%s failed", self._what, exc_info=error)
        self._is_calling = False
