from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from longwave.app.runtime import Done, Runtime
from longwave.backplane.memory import MemoryBus
from longwave.hub.drivers import Deliver, Envelope
from longwave.limits import Limits, Timeouts
from tests.app.harness import turn


def run(test: Callable[[Runtime], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        timeouts = options.pop("timeouts", Timeouts(close=0.02))
        await test(Runtime(Limits(), timeouts, **options))

    asyncio.run(main())


async def in_thread(function: Callable[[], Any]) -> Any:
    """Run in a thread without the context of this task."""
    result: list[Any] = []

    def work() -> None:
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    return result[0]


def test_done_may_be_awaited_any_number_of_times() -> None:
    async def main() -> None:
        done = Done()
        for _ in range(2):
            await done

    asyncio.run(main())


def test_calls_from_threads_come_in_order() -> None:
    async def check(runtime: Runtime) -> None:
        seen: list[int] = []

        def work() -> bool:
            for i in range(5):
                runtime.from_thread(seen.append, i)
            return runtime.is_here()

        assert await in_thread(work) is False
        assert runtime.is_here()
        await turn()
        assert seen == [0, 1, 2, 3, 4]

    run(check)


def test_what_is_asked_from_a_thread_may_be_awaited_there(caplog: pytest.LogCaptureFixture) -> None:
    async def check(runtime: Runtime) -> None:
        gate = asyncio.get_running_loop().create_future()
        order: list[str] = []

        def fail() -> Awaitable[None]:
            raise ValueError("bad topic")

        async def elsewhere() -> None:
            await runtime.ask_from_thread(lambda: runtime.done)
            wanted = runtime.ask_from_thread(lambda: gate)
            runtime.from_thread(order.append, "asked")
            runtime.from_thread(gate.set_result, None)
            await wanted
            await wanted
            with pytest.raises(ValueError, match="bad topic"):
                await runtime.ask_from_thread(fail)
            runtime.ask_from_thread(fail)

        assert await in_thread(lambda: asyncio.run(elsewhere())) is None
        await turn()
        assert order == ["asked"]

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check)
    assert len([record for record in caplog.records if "another thread" in record.getMessage()]) == 2


def test_work_and_calls_from_threads() -> None:
    async def check(runtime: Runtime) -> None:
        def fail() -> None:
            raise KeyError("x")

        async def work() -> int:
            await asyncio.sleep(0)
            return threading.get_ident()

        here = threading.get_ident()
        assert await in_thread(lambda: runtime.call_from_thread(threading.get_ident)) == here
        assert isinstance(await in_thread(lambda: runtime.call_from_thread(fail)), KeyError)
        assert await in_thread(lambda: asyncio.run(runtime.run_from_thread(work(), 0))) == here

    run(check)


def test_after_the_loop_is_closed_everything_says_so_and_nothing_hangs() -> None:
    made: list[Runtime] = []

    async def check(runtime: Runtime) -> None:
        made.append(runtime)

    run(check)
    (runtime,) = made

    async def work() -> str:
        return "never"

    def use() -> None:
        calls: list[Callable[[], Any]] = [
            lambda: runtime.from_thread(print),
            lambda: runtime.ask_from_thread(lambda: runtime.done),
            lambda: runtime.call_from_thread(print),
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match="the app does not run"):
                call()
        assert asyncio.run(runtime.run_from_thread(work(), "otherwise")) == "otherwise"

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            use()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join(5)
    assert not thread.is_alive() and failures == []


def test_settling_waits_then_cancels_then_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []

    async def quick() -> None:
        await asyncio.sleep(0)
        events.append("quick")

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    async def stubborn(until: asyncio.Event) -> None:
        while not until.is_set():
            try:
                await until.wait()
            except asyncio.CancelledError:
                events.append("refused")

    async def check(runtime: Runtime) -> None:
        until = asyncio.Event()
        runtime.background(quick(), "quick")
        runtime.background(slow(), "slow")
        task = runtime.background(stubborn(until), "stubborn")
        started = asyncio.get_running_loop().time()
        await runtime.settle()
        assert asyncio.get_running_loop().time() - started < 1
        assert sorted(events) == ["cancelled", "quick", "refused"]
        assert runtime.stats()["tasks"] == 0
        until.set()
        await task

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check)
    assert "does not let itself be cancelled" in caplog.text


def test_work_in_the_background_that_fails_is_logged_with_what_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise RuntimeError("background")

    async def check(runtime: Runtime) -> None:
        await runtime.background(fail(), "the work")
        await turn()
        assert runtime.stats()["errors"] == 1 and runtime.stats()["tasks"] == 0

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check)
    assert [record.getMessage() for record in caplog.records] == ["the work failed"]


class Driver:
    """A backplane whose start or close fails, or never ends."""

    def __init__(self, start: str = "", close: str = "") -> None:
        self.how = {"start": start, "close": close}
        self.calls: list[str] = []

    async def start(self, deliver: Deliver) -> None:
        await self._do("start")

    async def close(self) -> None:
        await self._do("close")

    async def _do(self, what: str) -> None:
        self.calls.append(what)
        if self.how[what] == "fail":
            raise ConnectionError(f"cannot {what}")
        if self.how[what] == "hang":
            await asyncio.Event().wait()

    def publish(self, envelope: Envelope) -> None:
        raise ConnectionError("cannot publish")

    def watch(self, topic: str) -> Awaitable[None]:
        return Done()

    def unwatch(self, topic: str) -> None: ...


@pytest.mark.parametrize("how", ["", "fail", "hang"])
def test_a_backplane_is_closed_in_time_whatever_it_does(how: str) -> None:
    errors: list[tuple[str, str]] = []
    driver = Driver(close=how)

    async def check(runtime: Runtime) -> None:
        await runtime.start()
        await runtime.disconnect()
        await runtime.disconnect()
        assert driver.calls == ["start", "close"]

    run(check, backplane=driver, on_error=lambda error, stage: errors.append((type(error).__name__, stage)))
    assert (
        errors == {"": [], "fail": [("ConnectionError", "close")], "hang": [("TimeoutError", "close")]}[how]
    )


def test_a_backplane_that_did_not_start_is_not_closed() -> None:
    driver = Driver(start="fail")

    async def check(runtime: Runtime) -> None:
        with pytest.raises(ConnectionError):
            await runtime.start()
        await runtime.disconnect()
        assert driver.calls == ["start"]

    run(check, backplane=driver)


def test_an_on_error_that_fails_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def on_error(error: BaseException, stage: str) -> None:
        raise RuntimeError("on_error itself")

    async def check(runtime: Runtime) -> None:
        runtime.publish("topic", b"x", True)

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check, backplane=Driver(), on_error=on_error)
    assert "on_error failed at stage publish" in caplog.text


def test_without_an_on_error_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def check(runtime: Runtime) -> None:
        runtime.publish("topic", b"x", True)

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check, backplane=Driver())
    assert "publish failed: cannot publish" in caplog.text


def test_the_bound_below_which_sends_are_merged_is_half_the_outgoing_one() -> None:
    async def main() -> None:
        assert Runtime(Limits(outgoing=1000), Timeouts()).hold_below == 500
        assert Runtime(Limits(), Timeouts(), backplane=MemoryBus().backplane()).hold_below == 65536

    asyncio.run(main())
