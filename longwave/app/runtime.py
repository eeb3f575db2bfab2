"""What every peer and stream of one worker shares: the hub, the loop, limits, and work in the background."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from longwave.hub.drivers import Backplane
from longwave.hub.hub import Hub
from longwave.limits import COUNTERS, Limits, Timeouts

if TYPE_CHECKING:
    from longwave.app.event_stream import EventStream
    from longwave.app.peer import Peer

__all__ = ["Clock", "Done", "Elsewhere", "LoopClock", "Runtime"]

dev_log = logging.getLogger("longwave.dev")
error_log = logging.getLogger("longwave.error")

Result = TypeVar("Result")

HOLD_BELOW = 64 * 1024
"""Bytes buffered up to which a `send` is merged with the turn's publications; above, its status is exact."""
SWEEP = 1.0
"""Seconds between two looks at the event streams for one that needs a heartbeat."""


class Timer(Protocol):
    """Something that was asked to happen later."""

    def cancel(self) -> None:
        """Take it back."""


class Clock(Protocol):
    """Time as the application sees it; `longwave.testing.FakeClock` is another one."""

    def now(self) -> float:
        """Return seconds that only grow."""

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call back after so many seconds."""


class LoopClock:
    """The clock of the running loop."""

    def now(self) -> float:
        """Return the time of the loop in seconds."""
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call back from the loop."""
        return asyncio.get_running_loop().call_later(seconds, callback, *arguments)


class Done:
    """An awaitable that is done; it may be awaited any number of times."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class Elsewhere:
    """An awaitable of what was asked of the loop's thread.

    It may be awaited on any loop, or not at all.
    """

    __slots__ = ("_future",)

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.wrap_future(self._future).__await__()


class Runtime:
    """The shared state of one running application.

    Made at start-up, on the loop's thread.
    """

    def __init__(
        self,
        limits: Limits,
        timeouts: Timeouts,
        *,
        clock: Clock | None = None,
        backplane: Backplane | None = None,
        node: str = "",
        on_error: Callable[[BaseException, str], None] | None = None,
        dev: bool = False,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.limits = limits
        self.timeouts = timeouts
        self.dev = dev
        self.clock = clock or LoopClock()
        self.call_later = self.clock.call_later
        self.backplane = backplane
        self.hold_below = min(HOLD_BELOW, limits.outgoing // 2)
        self._on_error = on_error or log_driver_error
        self._connected = False
        self.hub = Hub(self.loop.call_soon, self._tell_error, limits=limits, backplane=backplane, node=node)
        self.publish = self._publish_watched if dev else self.hub.publish
        self.namespaces: dict[str, dict[Peer, None]] = {}
        self.streams: dict[EventStream, None] = {}
        self.done = Done()
        self.errors = 0
        self.passed = dict.fromkeys(COUNTERS, 0)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._sweeper: Timer | None = None

    async def start(self) -> None:
        """Connect the backplane, when there is one."""
        if self.backplane is not None:
            await self.backplane.start(self.hub.received)
            self._connected = True

    async def settle(self) -> None:
        """End streams.

        Wait for hooks and tasks, at most `timeouts.close` twice, and cancel the rest.
        """
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for stream in list(self.streams):
            stream.end()
        for attempt in range(2):
            tasks = [task for task in self._tasks if task is not asyncio.current_task()]
            if not tasks:
                return
            if attempt:
                for task in tasks:
                    task.cancel()
            _, late = await asyncio.wait(tasks, timeout=self.timeouts.close)
        for task in late:
            error_log.error("%r goes on after the shutdown: it does not let itself be cancelled", task)
            self._tasks.discard(task)

    async def disconnect(self) -> None:
        """Close the backplane, if it was connected, within `timeouts.close`."""
        if self.backplane is None or not self._connected:
            return
        self._connected = False
        try:
            async with asyncio.timeout(self.timeouts.close):
                await self.backplane.close()
        except Exception as error:
            self._tell_error(error, "close")

    def is_here(self) -> bool:
        """Whether the caller runs on the loop's thread."""
        return threading.get_ident() == self.thread

    def from_thread(self, function: Callable[..., object], *arguments: Any) -> Done:
        """Call a function on the loop's thread, in the order of the calls.

        Raises `RuntimeError` when the loop is closed.
        """
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError as error:
            raise RuntimeError(STOPPED) from error
        return self.done

    def ask_from_thread(self, function: Callable[[], Awaitable[Any]]) -> Elsewhere:
        """Do as `from_thread`.

        What is returned waits for the function's awaitable, and has its error.
        """
        answer: Future[None] = Future()

        def ask() -> None:
            try:
                wanted = function()
            except Exception as error:
                # Not every caller awaits.
                error_log.error("a call from another thread failed", exc_info=error)
                answer.set_exception(error)
                return
            if wanted is self.done:
                answer.set_result(None)
            else:
                self.background(self._answer(wanted, answer), "a call from another thread")

        self.from_thread(ask)
        return Elsewhere(answer)

    async def run_from_thread(self, work: Coroutine[Any, Any, Result], otherwise: Result) -> Result:
        """Run a coroutine on this loop for one of another loop.

        `otherwise` when this one is closed.
        """
        try:
            there = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            return otherwise
        return await asyncio.wrap_future(there)

    def call_from_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function on the loop's thread and return what it returns.

        Blocks, `timeouts.close` at most; for calls whose result cannot come later.
        """
        answer: Future[Result] = Future()

        def call() -> None:
            try:
                answer.set_result(function(*arguments))
            except BaseException as error:
                answer.set_exception(error)

        self.from_thread(call)
        return answer.result(self.timeouts.close)

    def wait_for(self, tasks: Iterable[asyncio.Future[Any]]) -> None:
        """Let the shutdown wait for these."""
        for task in tasks:
            if not task.done():
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def background(self, work: Awaitable[Any], what: str) -> asyncio.Task[None]:
        """Await something in a task of its own; an error is logged with what it was."""
        task = self.loop.create_task(self._quietly(work, what))
        self.wait_for((task,))
        return task

    def count_error(self) -> None:
        """Count an error of user code."""
        self.errors += 1

    def add_stream(self, stream: EventStream) -> None:
        """Look after the heartbeat of an open stream."""
        self.streams[stream] = None
        if self._sweeper is None and self.timeouts.heartbeat > 0:
            self._sweeper = self.call_later(SWEEP, self._sweep)

    def remove_stream(self, stream: EventStream) -> None:
        """Look after a stream no more."""
        self.streams.pop(stream, None)

    def stats(self) -> dict[str, int]:
        """Return counters of the application, its hub, and its backplane if that has any."""
        driver = getattr(self.backplane, "stats", None)
        counted = {} if driver is None else driver()
        return {
            "peers": sum(len(peers) for peers in self.namespaces.values()),
            "namespaces": len(self.namespaces),
            "streams": len(self.streams),
            "errors": self.errors,
            "tasks": len(self._tasks),
            **self.passed,
            **self.hub.stats(),
            **{name if name.startswith("limits.") else f"backplane.{name}": n for name, n in counted.items()},
        }

    def _tell_error(self, error: BaseException, stage: str) -> None:
        try:
            self._on_error(error, stage)
        except Exception as second:
            error_log.error("on_error failed at stage %s", stage, exc_info=second)

    async def _answer(self, wanted: Awaitable[Any], answer: Future[None]) -> None:
        try:
            await wanted
        except BaseException as error:
            answer.set_exception(error)
            raise
        answer.set_result(None)

    def _publish_watched(
        self,
        topic: str,
        payload: bytes,
        is_text: bool,
        namespace: str | None = None,
        exclude: Peer | None = None,
        compress: bool | None = None,
    ) -> None:
        """Publish, and in dev say so when it reached nobody only because the listeners are elsewhere."""
        if namespace is not None and not self.hub.listeners(topic, namespace):
            others = ", ".join(str(other) for other in self.hub.namespaces(topic))
            if others:
                dev_log.warning(
                    "nobody heard %r in namespace %s: its listeners are in %s", topic, namespace, others
                )
        self.hub.publish(topic, payload, is_text, namespace, exclude, compress)

    def _sweep(self) -> None:
        self._sweeper = None
        limit = self.timeouts.heartbeat / SWEEP
        for stream in list(self.streams):
            stream.beat(limit)
        if self.streams:
            self._sweeper = self.call_later(SWEEP, self._sweep)

    async def _quietly(self, work: Awaitable[Any], what: str) -> None:
        try:
            await work
        except Exception as error:
            self.errors += 1
            error_log.error("%s failed", what, exc_info=error)


def log_driver_error(error: BaseException, stage: str) -> None:
    """Log what went wrong in a driver or a delivery; the default of `on_error`."""
    error_log.error("%s failed: %s", stage, error, exc_info=error)


STOPPED = "the app does not run: it was not started, or it has stopped"
