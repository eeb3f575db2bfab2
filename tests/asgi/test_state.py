"""A time limit that a loop which stood still does not shorten, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from longwave.asgi.state import AsgiState, Deadline
from longwave.limits import COUNTERS, Limits, Timeouts


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
