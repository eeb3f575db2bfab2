"""Tasks that belong to a connection: started with it, cancelled and awaited when it ends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

__all__ = ["Scope"]


class Scope:
    """The tasks of one peer or stream; an error in one goes to `on_error(error)` and ends that task alone."""

    __slots__ = ("_on_error", "_tasks", "closed")

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_error = on_error
        self.closed = False

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a task of the connection and return it; raises `RuntimeError` after its end."""
        if self.closed:
            coroutine.close()
            raise RuntimeError("the connection is closed: nothing can be started on it any more")
        task = asyncio.get_running_loop().create_task(self._guard(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step would leave its coroutine never awaited.
        task.add_done_callback(lambda _: coroutine.close())
        return task

    def every(self, seconds: float, function: Callable[[], Awaitable[Any] | Any]) -> asyncio.Task[Any]:
        """Call a function now and then every `seconds`, sync or async, until the connection ends."""
        if not seconds > 0:
            raise ValueError(f"every() wants more than 0 seconds, not {seconds!r}")
        return self.spawn(_repeat(seconds, function))

    def cancel(self) -> list[asyncio.Task[Any]]:
        """Cancel every task but the current one, refuse new ones, and return those to be awaited."""
        self.closed = True
        current = _current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        return tasks

    async def _guard(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        except Exception as error:
            self._on_error(error)
            return None


async def _repeat(seconds: float, function: Callable[[], Awaitable[Any] | Any]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        result = function()
        if inspect.isawaitable(result):
            await result
        # A call that took longer than its period is not made up for by a burst.
        due = max(due + seconds, loop.time())
        await asyncio.sleep(due - loop.time())


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
