"""A clock that stands still until the test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any, Final

__all__ = ["FakeClock", "FakeTimer"]

_TURNS: Final = 20
"""Turns of the loop that everything gets to react to a moment; a chain of awaits longer than that is rare."""


class FakeTimer:
    """A call that waits for its time on a `FakeClock`; as `asyncio.TimerHandle`."""

    __slots__ = ("_arguments", "_callback", "_cancelled", "_when")

    def __init__(self, when: float, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._when = when
        self._callback = callback
        self._arguments = arguments
        self._cancelled = False

    def when(self) -> float:
        """Return the time on the clock at which the call is due."""
        return self._when

    def cancel(self) -> None:
        """Take the call back."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether the call was taken back."""
        return self._cancelled

    def run(self) -> None:
        """Make the call, unless it was taken back."""
        if not self._cancelled:
            self._callback(*self._arguments)


class FakeClock:
    """Time for tests: `now()` says it, `await advance(seconds)` moves it.

    What falls due on the way runs.

    `now` and `call_later` are what an app asks of a clock, so `clock=FakeClock()` replaces the real one and
    a heartbeat of 15 seconds needs no waiting.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Return the seconds of this clock; zero means nothing, as in `time.monotonic`."""
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> FakeTimer:
        """Have `callback(*arguments)` called when the clock has moved on by `delay`."""
        return self.call_at(self._now + delay, callback, *arguments)

    def call_at(self, when: float, callback: Callable[..., object], *arguments: Any) -> FakeTimer:
        """Have `callback(*arguments)` called when the clock reaches `when`."""
        timer = FakeTimer(when, callback, arguments)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has moved on by so many seconds."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, _finish, done)
        try:
            await done
        finally:
            timer.cancel()

    async def advance(self, seconds: float) -> None:
        """Move the clock, stopping at each call that is due on the way, in order."""
        if seconds < 0:
            raise ValueError(f"a clock goes forward only: advance() got {seconds!r}")
        target = self._now + seconds
        await _settle()
        while self._timers and self._timers[0][0] <= target:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            timer.run()
            await _settle()
        self._now = target
        await _settle()

    @property
    def waiting(self) -> int:
        """How many calls wait for their time."""
        return sum(not timer.cancelled() for _, _, timer in self._timers)


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


async def _settle() -> None:
    """Let everything that can run now run."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
