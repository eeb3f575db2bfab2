"""What belongs to one connection beside its hooks: tasks that end with it, callbacks of its end."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longwave.app.runtime import Runtime

__all__ = ["Callbacks", "Scope", "is_being_cancelled", "refuse"]

error_log = logging.getLogger("longwave.error")


class Scope:
    """The tasks of one peer or stream.

    An error in one goes to `on_error(error)` and ends that task alone.
    """

    __slots__ = ("_on_error", "_tasks")

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_error = on_error

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a task of the connection and return it.

        `TypeError` for anything else.
        """
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"spawn() wants a coroutine, as an async function returns it, not {coroutine!r}")
        task = asyncio.get_running_loop().create_task(self._guard(coroutine))
        self.adopt(task)
        # A task that is cancelled before its first step would leave its coroutine never awaited.
        task.add_done_callback(lambda _: coroutine.close())
        return task

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Let a task that runs already end with the connection."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def every(self, seconds: float, function: Callable[[], Awaitable[Any] | Any]) -> asyncio.Task[Any]:
        """Call a function now and then every `seconds`, until the connection ends."""
        if not seconds > 0:
            raise ValueError(f"every() wants more than 0 seconds, not {seconds!r}")
        return self.spawn(_repeat(seconds, function))

    def cancel(self) -> list[asyncio.Task[Any]]:
        """Cancel every task but the current one, and return those to be awaited."""
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


def refuse(coroutine: Coroutine[Any, Any, Any] | None) -> None:
    """Raise `RuntimeError`: the connection has ended.

    Nothing would ever end what is started on it.
    """
    if asyncio.iscoroutine(coroutine):
        coroutine.close()
    raise RuntimeError("the connection is closed: nothing can be started on it any more")


def is_being_cancelled() -> bool:
    """Whether the current task is asked to end: a `CancelledError` is its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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
