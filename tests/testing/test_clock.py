from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.testing import FakeClock
from tests.asgi.driver import asynchronous


@asynchronous
async def test_time_stands_still() -> None:
    clock = FakeClock(5.0)
    assert (clock.now(), clock.now()) == (5.0, 5.0)
    await clock.advance(2.5)
    assert clock.now() == 7.5


@asynchronous
async def test_calls_are_made_in_order_at_their_times() -> None:
    clock = FakeClock(0.0)
    made: list[Any] = []
    clock.call_later(3, lambda: made.append(("three", clock.now())))
    clock.call_later(1, lambda word: made.append((word, clock.now())), "one")
    clock.call_later(1, lambda: made.append(("one again", clock.now())))
    clock.call_later(2, lambda: clock.call_later(0.5, lambda: made.append(("two and a half", clock.now()))))
    assert clock.waiting == 4
    await clock.advance(2.75)
    assert made == [("one", 1.0), ("one again", 1.0), ("two and a half", 2.5)]
    await clock.advance(0.25)
    assert made[-1] == ("three", 3.0)
    assert clock.waiting == 0


@asynchronous
async def test_cancelled_calls_are_not_made() -> None:
    clock = FakeClock()
    made: list[str] = []
    timer = clock.call_later(1, made.append, "no")
    timer.cancel()
    assert (timer.cancelled(), timer.when(), clock.waiting) == (True, 1001.0, 0)
    await clock.advance(2)
    assert made == []


@asynchronous
async def test_sleep() -> None:
    clock = FakeClock()
    woken: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(10)
            woken.append(clock.now())

    task = asyncio.create_task(ticker())
    await clock.advance(35)
    assert woken == [1010.0, 1020.0, 1030.0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.waiting == 0


@asynchronous
async def test_it_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="forward only"):
        await FakeClock().advance(-1)
