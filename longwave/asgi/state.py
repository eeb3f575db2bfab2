"""What all scopes of one application under ASGI share: settings, open links, counters, and patience."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from longwave.limits import COUNTERS, Limits, Timeouts

if TYPE_CHECKING:
    from longwave.asgi.link import AsgiLink

__all__ = ["AsgiState", "Deadline"]

LATE: Final = 0.5
"""Seconds by which a timer is late when the loop stood still; our own server sweeps as often."""


class AsgiState:
    """The state that is one per application; `links` are those that are open."""

    def __init__(self, limits: Limits, timeouts: Timeouts) -> None:
        self.limits = limits
        self.timeouts = timeouts
        self.links: set[AsgiLink] = set()
        self._passed = dict.fromkeys(COUNTERS, 0)
        self._stirred: deque[AsgiLink] = deque()

    def passed(self, name: str) -> None:
        """Count that a limit or time-out was passed."""
        self._passed[name] += 1

    def stir(self, link: AsgiLink) -> None:
        """Flush a link soon.

        Links of one turn share a task: to make one costs more than to send.
        """
        if not self._stirred:
            asyncio.get_running_loop().create_task(self._flush_all())
        self._stirred.append(link)

    async def _flush_all(self) -> None:
        stirred = self._stirred
        while stirred:
            link = stirred.popleft()
            flush = link.flush()
            try:
                waits_for = flush.send(None)
            except StopIteration:
                continue
            # This task is that link's from now on: a coroutine may know in which one it began.
            if stirred:
                asyncio.get_running_loop().create_task(self._flush_all())
            link.task = asyncio.current_task()
            try:
                await _Rest(flush, waits_for)
            finally:
                link.task = None
            return

    def stats(self) -> dict[str, int]:
        """Return how often each limit and time-out was passed, as far as it is kept here."""
        return self._passed.copy()


class Deadline:
    """Calls back after so many seconds, unless it is cancelled.

    A loop that stood still meanwhile may not have read what came: then the time begins anew.
    """

    __slots__ = ("_callback", "_loop", "_seconds", "_timer")

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def cancel(self) -> None:
        """Do not call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        if self._seconds:
            self._timer = self._loop.call_later(self._seconds, self._due, self._loop.time() + self._seconds)

    def _due(self, when: float) -> None:
        if self._loop.time() - when > LATE:
            self._begin()
        else:
            self._timer = None
            self._callback()


class _Rest:
    """What is left of a coroutine that was begun by hand, and waits for something."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for, coroutine = self._waits_for, self._coroutine
        while True:
            try:
                value = yield waits_for
            except BaseException as error:
                resume = partial(coroutine.throw, error)
            else:
                resume = partial(coroutine.send, value)
            try:
                waits_for = resume()
            except StopIteration:
                return
