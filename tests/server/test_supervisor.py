"""The supervisor, with workers that are fakes and a clock that stands still."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from longwave.server.process import Ended, Heard, Process
from longwave.server.supervisor import LATE, LONGEST_PAUSE, PAUSE, STABLE, Supervisor
from longwave.testing import FakeClock


class Fake:
    """A worker: what it was told, and by its methods what it says."""

    def __init__(self, slot: int, pid: int, heard: Heard, ended: Ended) -> None:
        self.slot, self.pid = slot, pid
        self._heard, self._ended = heard, ended
        self.told: list[tuple[Any, ...]] = []
        self.signals: list[int] = []

    def tell(self, kind: str, **message: Any) -> None:
        self.told.append((kind, *message.values()))

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def say(self, kind: str, **message: Any) -> None:
        self._heard(self, {"kind": kind, **message})

    def ready(self) -> None:
        self.say("ready", routes=[self.pid])

    def end(self, code: int) -> None:
        self._ended(self, code)


class Screen:
    """What a person was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def ready(self, message: Mapping[str, Any]) -> None:
        self.shown.append("ready")

    def failed(self, text: str) -> None:
        self.shown.append(text)


class Workers:
    """A supervisor under test, and the fakes in the order in which they were started."""

    def __init__(self, count: int, covers: bool) -> None:
        self.started: list[Fake] = []
        self.screen = Screen()
        self.clock = FakeClock()
        self.full = False
        self.supervisor = Supervisor(
            count, self._spawn, self.screen, clock=self.clock, shutdown=10.0, covers=covers
        )
        self.running = asyncio.create_task(self.supervisor.run())

    def _spawn(self, slot: int, heard: Heard, ended: Ended) -> Process:
        if self.full:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        fake = Fake(slot, 100 + len(self.started), heard, ended)
        self.started.append(fake)
        return fake

    def slots(self) -> list[int]:
        return [fake.slot for fake in self.started]


@asynccontextmanager
async def workers(count: int = 2, *, ready: bool = True, covers: bool = False) -> AsyncIterator[Workers]:
    """Start a supervisor; with `ready` its first workers serve."""
    under_test = Workers(count, covers)
    await asyncio.sleep(0)
    assert under_test.slots() == list(range(count))
    for fake in under_test.started.copy() if ready else ():
        fake.ready()
    try:
        yield under_test
    finally:
        under_test.running.cancel()
        await asyncio.wait([under_test.running])


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 10))


def test_it_is_ready_once_when_all_first_workers_serve() -> None:
    async def check() -> None:
        async with workers(3, ready=False) as w:
            a, b, c = w.started
            a.ready()
            b.ready()
            assert w.screen.shown == []
            c.ready()
            assert w.screen.shown == ["ready"]
            b.end(-9)
            w.started[3].ready()
            assert w.screen.shown == ["ready"]

    run(check)


def test_where_no_worker_starts_it_gives_up_with_the_first_ones_words() -> None:
    async def check() -> None:
        async with workers(ready=False) as w:
            a, b = w.started
            a.say("failed", text="no such route")
            b.say("failed", text="no such route either")
            a.end(1)
            b.end(1)
            assert await w.running == 1
            assert w.screen.shown == ["no such route"] and len(w.started) == 2

    run(check)


def test_one_that_does_not_start_is_tried_again_when_the_others_serve() -> None:
    async def check() -> None:
        async with workers(ready=False) as w:
            a, b = w.started
            a.end(-11)
            assert w.slots() == [0, 1]
            b.ready()
            assert w.screen.shown == ["ready"]
            assert w.slots() == [0, 1, 0]

    run(check)


def test_a_dead_worker_is_replaced_at_once_and_then_after_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        async with workers() as w:
            w.started[0].end(-9)
            assert w.slots() == [0, 1, 0]
            pause = PAUSE
            for _ in range(10):
                w.started[-1].end(1)
                count = len(w.started)
                await w.clock.advance(pause * 0.99)
                assert len(w.started) == count
                await w.clock.advance(pause * 0.02)
                assert len(w.started) == count + 1
                pause = min(LONGEST_PAUSE, pause * 2)
            # One that has lived for a while is a new beginning.
            w.started[-1].ready()
            await w.clock.advance(STABLE)
            count = len(w.started)
            w.started[-1].end(-9)
            assert len(w.started) == count + 1
            # The other one was left alone all the time.
            assert w.started[1].told == [] and w.supervisor.restarts == 12

    with caplog.at_level("ERROR", "longwave.error"):
        run(check)
    assert "worker 0: the worker ended by signal 9; another is started now" in caplog.text
    assert "worker 0: the worker ended with exit code 1 before it served; another is started in 15 s" in (
        caplog.text
    )


def test_no_process_left_is_like_one_that_died() -> None:
    async def check() -> None:
        async with workers() as w:
            w.full = True
            w.started[0].end(-9)
            await asyncio.sleep(0)
            w.full = False
            await w.clock.advance(PAUSE)
            assert w.slots() == [0, 1, 0]

    run(check)


def test_a_worker_that_somebody_else_told_to_end_is_replaced_meanwhile() -> None:
    async def check() -> None:
        async with workers() as w:
            first = w.started[0]
            first.say("ending")
            assert w.slots() == [0, 1, 0]
            w.started[2].ready()
            first.end(0)
            assert w.slots() == [0, 1, 0]
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.01)
            assert first.told == [] and w.started[2].told == [("stop", 1001)]

    run(check)


def test_sighup_replaces_one_after_the_other_the_new_one_first() -> None:
    async def check() -> None:
        async with workers() as w:
            a, b = w.started
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.01)
            assert w.slots() == [0, 1, 0] and a.told == []
            w.started[2].ready()
            assert a.told == [("stop", 1012)]
            a.say("ending")
            assert w.slots() == [0, 1, 0]  # the next one's turn is when this one has ended
            a.end(0)
            assert w.slots() == [0, 1, 0, 1] and b.told == []
            w.started[3].ready()
            assert b.told == [("stop", 1012)]
            b.end(0)
            assert len(w.started) == 4 and w.supervisor.restarts == 0

    run(check)


def test_a_second_sighup_replaces_all_again() -> None:
    async def check() -> None:
        async with workers(1) as w:
            w.supervisor.replace()
            w.supervisor.replace()
            w.started[1].ready()
            w.started[0].end(0)
            assert w.slots() == [0, 0, 0]
            w.started[2].ready()
            w.started[1].end(0)
            assert w.slots() == [0, 0, 0]

    run(check)


def test_code_that_cannot_be_loaded_replaces_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with workers() as w:
            w.supervisor.replace()
            w.started[2].say("failed", text="a comma is missing")
            w.started[2].end(1)
            assert len(w.started) == 3
            assert w.started[0].told == w.started[1].told == []
            # The worker from before is still looked after, and another attempt may come.
            w.supervisor.replace()
            assert w.slots() == [0, 1, 0, 0]
            w.started[0].end(-9)
            w.started[3].end(1)
            assert w.slots() == [0, 1, 0, 0, 0]

    with caplog.at_level("ERROR", "longwave.error"):
        run(check)
    assert "could not be replaced: a comma is missing\nThe workers from before go on." in caplog.text


def test_the_first_signal_drains_the_second_cuts_and_the_exit_code_is_0() -> None:
    async def check() -> None:
        async with workers() as w:
            a, b = w.started
            for told in ([("stop", 1001)], [("stop", 1001), ("cut",)]):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.01)
                assert a.told == b.told == told
            a.end(0)
            assert not w.running.done() and len(w.started) == 2
            b.end(0)
            assert await w.running == 0

    run(check)


def test_a_worker_that_has_not_begun_is_ended_by_a_signal() -> None:
    async def check() -> None:
        async with workers(ready=False) as w:
            a, b = w.started
            a.ready()
            w.supervisor.stop()
            assert (a.told, a.signals) == ([("stop", 1001)], [])
            assert (b.told, b.signals) == ([], [signal.SIGTERM])
            b.ready()  # it was on its way
            a.end(0)
            b.end(-15)
            assert await w.running == 0 and w.screen.shown == []

    run(check)


def test_a_worker_that_does_not_end_is_killed() -> None:
    async def check() -> None:
        async with workers() as w:
            a, b = w.started
            w.supervisor.stop()
            b.end(0)
            await w.clock.advance(10.0 + LATE)
            assert a.signals == [signal.SIGKILL] and b.signals == []
            a.end(-9)
            assert await w.running == 0

    run(check)


def test_a_pause_does_not_outlive_the_end() -> None:
    async def check() -> None:
        async with workers(1) as w:
            w.started[0].end(1)
            w.started[1].end(1)
            w.supervisor.stop()
            assert await w.running == 0
            await w.clock.advance(PAUSE * 2)
            assert len(w.started) == 2

    run(check)


def test_others_accept_for_a_slot_without_a_worker() -> None:
    async def check() -> None:
        async with workers(4, covers=True) as w:
            a, b, c, d = w.started
            before = [list(fake.told) for fake in w.started]
            b.end(-9)
            c.end(-9)
            told = [fake.told[len(old) :] for fake, old in zip((a, b, c, d), before, strict=False)]
            assert (told[0][-1], told[3][-1]) == (("cover", [1]), ("cover", [2]))
            w.started[4].ready()  # slot 1 again
            assert a.told[-1] == ("cover", [2]) and d.told[-1] == ("cover", [])
            assert w.started[4].told == []
            w.started[5].ready()
            assert a.told[-1] == ("cover", [])

    run(check)


def test_counters_are_added_up_over_the_workers_that_answer() -> None:
    async def check() -> None:
        async with workers() as w:
            asked = asyncio.create_task(w.supervisor.stats())
            also = asyncio.create_task(w.supervisor.stats())
            await asyncio.sleep(0)
            for number, fake in enumerate(w.started, 1):
                assert fake.told == [("stats",)]
                fake.say("stats", stats={"peers": number})
            stats = await asked
            assert stats == await also
            assert stats.total == {"workers": 2, "restarts": 0, "peers": 3}
            assert stats.workers == {0: {"peers": 1}, 1: {"peers": 2}}

    run(check)
