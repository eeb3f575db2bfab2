"""A time limit that a loop which stood still does not shorten, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from longwave.asgi.state import AsgiState, Deadline
from longwave.limits import COUNTERS, Limits, Timeouts
from tests.asgi.driver import asynchronous


class Timer:
    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def cancel(self) -> None:
        self.call = lambda: None


class Loop:
    """A loop whose time passes on purpose, and which may be late."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Timer]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        timer = Timer(lambda: callback(*arguments))
        self.timers.append((self.now + seconds, timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        """Let time go by in one leap; then run what is due, as late as it is."""
        self.now += seconds
        due = [entry for entry in self.timers if entry[0] <= self.now]
        self.timers = [entry for entry in self.timers if entry[0] > self.now]
        for _, timer in due:
            timer.call()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return loop


def test_a_deadline_calls_once(loop: Loop) -> None:
    called: list[float] = []
    Deadline(20, lambda: called.append(loop.now))
    loop.pass_time(19)
    assert called == []
    loop.pass_time(1.1)
    assert called == [120.1]
    loop.pass_time(100)
    assert len(called) == 1


def test_a_loop_that_stood_still_gives_the_time_again(loop: Loop) -> None:
    called: list[float] = []
    Deadline(20, lambda: called.append(loop.now))
    loop.pass_time(10)
    loop.pass_time(40)
    assert called == []
    loop.pass_time(19)
    assert called == []
    loop.pass_time(1)
    assert called == [170.0]


@pytest.mark.parametrize("again", [False, True])
def test_a_deadline_that_is_cancelled(loop: Loop, again: bool) -> None:
    called: list[float] = []
    deadline = Deadline(20, lambda: called.append(loop.now))
    if again:
        loop.pass_time(50)
    deadline.cancel()
    deadline.cancel()
    loop.pass_time(20)
    assert called == []


def test_no_time_is_no_deadline(loop: Loop) -> None:
    Deadline(0, lambda: pytest.fail("it is off")).cancel()
    assert loop.timers == []


def test_all_limits_have_a_counter() -> None:
    state = AsgiState(Limits(), Timeouts())
    state.passed("limits.body")
    stats = state.stats()
    assert stats == {name: int(name == "limits.body") for name in COUNTERS}
    stats["limits.body"] = 7
    assert state.stats()["limits.body"] == 1


class Link:
    """Stands for a link: what its `send` does is the test's affair."""

    def __init__(self, send: Callable[[], Awaitable[object]]) -> None:
        self.send = send
        self.task: asyncio.Task[None] | None = None
        self.tasks: list[asyncio.Task[None] | None] = []
        self.outcome: str | BaseException | None = None

    async def flush(self) -> None:
        self.tasks.append(asyncio.current_task())
        try:
            await self.send()
            self.outcome = "done"
        except BaseException as error:
            self.outcome = error
        self.tasks.append(asyncio.current_task())


def stirred(*sends: Callable[[], Awaitable[object]]) -> list[Link]:
    state = AsgiState(Limits(), Timeouts())
    links = [Link(send) for send in sends]
    for link in links:
        state.stir(link)  # type: ignore[arg-type]
    return links


async def at_once() -> None:
    pass


@asynchronous
async def test_links_of_one_turn_share_a_task() -> None:
    links = stirred(at_once, at_once, at_once)
    await asyncio.sleep(0)
    assert [link.outcome for link in links] == ["done"] * 3
    assert len({task for link in links for task in link.tasks}) == 1


@asynchronous
async def test_one_that_waits_keeps_its_task_and_holds_nobody_up() -> None:
    gate = asyncio.Event()

    async def patiently() -> None:
        async with asyncio.timeout(10):
            await gate.wait()
            await asyncio.sleep(0)

    first, slow, third, fourth = stirred(at_once, patiently, gate.wait, at_once)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (first.outcome, slow.outcome, third.outcome, fourth.outcome) == ("done", None, None, "done")
    assert slow.task is slow.tasks[0]
    gate.set()
    for _ in range(4):
        await asyncio.sleep(0)
    assert (slow.outcome, third.outcome) == ("done", "done")
    assert [len(set(link.tasks)) for link in (first, slow, third, fourth)] == [1, 1, 1, 1]
    assert slow.tasks[0] is not third.tasks[0]
    assert slow.task is third.task is None


@asynchronous
async def test_an_error_and_a_cancellation_reach_the_one_who_waits() -> None:
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fails() -> None:
        await broken

    first, second = stirred(fails, asyncio.Event().wait)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert second.task is not None
    broken.set_exception(OSError("gone"))
    second.task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert isinstance(first.outcome, OSError)
    assert isinstance(second.outcome, asyncio.CancelledError)
    assert first.task is second.task is None


@asynchronous
async def test_what_is_stirred_by_a_flush_is_flushed() -> None:
    state = AsgiState(Limits(), Timeouts())
    late = Link(at_once)

    async def stirs() -> None:
        state.stir(late)  # type: ignore[arg-type]

    state.stir(Link(stirs))  # type: ignore[arg-type]
    for _ in range(3):
        await asyncio.sleep(0)
    assert late.outcome == "done"
