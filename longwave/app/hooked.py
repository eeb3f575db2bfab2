"""Runs the hooks of one connection: one after the other, in order, and what happens when one fails."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from longwave.app.message import Identified
from longwave.contract import Link
from longwave.errors import MessageError
from longwave.types import Piece, SendStatus, Wire

if TYPE_CHECKING:
    from longwave.app.hooks import CloseDetails
    from longwave.app.route import Route
    from longwave.app.runtime import Runtime, Timer

__all__ = ["BEHIND", "FAILURES", "GONE", "Hooked"]

error_log = logging.getLogger("longwave.error")

FAILURES = (Exception, asyncio.CancelledError)
"""What a hook may raise: also the cancellation of a task of its own that it asked for its result."""
INBOX = 1
"""Why a link is paused: as many messages wait for a hook as may."""
BEHIND = 2
"""Why a link is paused: the hub has more to write than it gets rid of, and this peer publishes."""

Entry = tuple[str, tuple[Any, ...]]


class Hooked(Identified):
    """A connection with hooks.

    While an asynchronous one runs, what comes waits in the inbox. A link is paused while there is any reason
    in `_holds`; taking back one leaves the others.
    """

    __slots__ = ("_holds", "_inbox", "_link", "_route", "_runtime", "_task", "_timer", "closed_with")

    def __init__(self, runtime: Runtime, route: Route) -> None:
        self._runtime = runtime
        self._route = route
        self._link: Link | None = None
        self._holds = 0
        self._inbox: deque[Entry] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self.closed_with: CloseDetails | None = None

    def _run(self, name: str, *arguments: Any) -> None:
        """Run a hook now, or after those that still run."""
        if self._task is not None:
            self._wait(name, *arguments)
            return
        name, result = self._start(name, arguments)
        if result is not None:
            self._go_on(name, result)

    def _start(self, name: str, arguments: tuple[Any, ...]) -> tuple[str, Awaitable[Any] | None]:
        """Call a hook; return what is to be awaited, and the hook that this is of."""
        if name == "task":
            return "error", self._failed("task", *arguments, close=False)
        hook = getattr(self._route.hooks, name)
        if hook is None:
            return name, None
        try:
            result = hook(self, *arguments)
        except FAILURES as error:
            return "error", self._failed(f"{name} hook", error)
        return name, result if result is not None and hasattr(result, "__await__") else None

    def _wait(self, name: str, *arguments: Any) -> None:
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append((name, arguments))
        if len(self._inbox) >= self._runtime.limits.waiting_messages and not self._holds & INBOX:
            self._hold(INBOX)
            if self._holds & INBOX:
                self._runtime.passed["limits.waiting_messages"] += 1

    def _go_on(self, name: str, result: Awaitable[Any]) -> None:
        """Await a hook in a task, which then runs what came meanwhile."""
        self._task = asyncio.get_running_loop().create_task(self._await_hooks(name, result))
        self._runtime.wait_for((self._task,))
        if self.closed_with is not None:
            self._expire()

    async def _await_hooks(self, name: str, result: Awaitable[Any] | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while True:
                if result is not None:
                    result = await self._await_hook(name, result, task)
                    name = "error"
                elif self._inbox:
                    entry = self._inbox.popleft()
                    if len(self._inbox) < self._runtime.limits.waiting_messages:
                        self._release(INBOX)
                    name, result = self._start(*entry)
                    if result is not None and entry[0] == "close":
                        self._expire()
                else:
                    break
        finally:
            self._task = self._inbox = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._release(INBOX)

    async def _await_hook(
        self, name: str, result: Awaitable[Any], task: asyncio.Task[None]
    ) -> Awaitable[Any] | None:
        """Await a hook; return what is to be awaited next because it failed."""
        try:
            await result
        except asyncio.CancelledError as error:
            if not task.cancelling():
                return self._failed(f"{name} hook", error)
            if self.closed_with is None:
                raise
            # The peer went away and the hook took too long: what waits is dropped but for the close hook.
            while task.uncancel():
                pass
            self._drop_waiting("close", "task")
            self._expire()
        except Exception as error:
            return self._failed(f"{name} hook", error)
        return None

    def _drop_waiting(self, *kept: str) -> None:
        if self._inbox:
            self._inbox = deque(entry for entry in self._inbox if entry[0] in kept)

    def _expire(self) -> None:
        """Give the hook that runs `timeouts.close` from now on."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._runtime.call_later(self._runtime.timeouts.close, self._cancel, self._task)

    def _cancel(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._runtime.passed["timeouts.close"] += 1
            task.cancel()

    def _failed(self, what: str, error: BaseException, *, close: bool = True) -> Awaitable[Any] | None:
        """Log an error, give it to the `error` hook, close with 1011; return what is to be awaited of that.

        A message that does not fit its type closes nothing: it is answered, or the `error` hook's affair.
        """
        hook = self._route.hooks.error
        if isinstance(error, MessageError) and what == "message hook":
            close = False
            if hook is None:
                self._answer_mistake(error)
        else:
            self._runtime.count_error()
            error_log.error("%s of %s failed", what, self._route, exc_info=error)
        if hook is not None and what != "error hook":
            if not isinstance(error, Exception):
                cancelled = RuntimeError(f"the {what} raised {type(error).__name__}")
                cancelled.__cause__ = error
                error = cancelled
            try:
                result = hook(self, error)
            except FAILURES as second:
                return self._failed("error hook", second)
            if result is not None and hasattr(result, "__await__"):
                return self._report(result, close)
        if close:
            self._close(1011, "")
        return None

    async def _report(self, result: Awaitable[Any], close: bool) -> None:
        await result
        if close:
            self._close(1011, "")

    def _fail(self, what: str, error: BaseException, *, close: bool = True) -> None:
        """Do as `_failed`, from outside of the task that awaits hooks."""
        result = self._failed(what, error, close=close)
        if result is not None:
            self._go_on("error", result)

    def _hold(self, why: int) -> None:
        if self._link is not None and self.closed_with is None:
            if not self._holds:
                self._link.pause()
            self._holds |= why

    def _release(self, why: int) -> None:
        if self._holds & why:
            self._holds &= ~why
            if not self._holds and self._link is not None:
                self._link.resume()

    def _close(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def _answer_mistake(self, error: MessageError) -> None:
        raise NotImplementedError


class _GoneLink:
    """Stands in for a link that is closed, so that nothing needs to ask for one, or keeps one alive."""

    __slots__ = ()

    buffered = 0

    @property
    def wire(self) -> Wire:
        """There is none."""
        raise RuntimeError("the connection is closed")

    def write(self, piece: Piece) -> SendStatus:
        """Take nothing."""
        return SendStatus.CLOSED

    def ping(self, data: bytes = b"") -> None:
        """Do nothing."""

    def pause(self) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""

    async def drained(self, threshold: int = 0) -> None:
        """Return."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""


GONE: Link = _GoneLink()
