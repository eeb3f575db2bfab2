from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from longwave.app.tasks import Scope, refuse
from tests.app.harness import turn


def run(test: Callable[[Scope, list[Exception]], Awaitable[None]]) -> None:
    async def main() -> None:
        errors: list[Exception] = []
        await test(Scope(errors.append), errors)

    asyncio.run(main())


def test_a_task_returns_its_result_and_an_error_ends_it_alone() -> None:
    async def work(fail: bool) -> str:
        await asyncio.sleep(0)
        if fail:
            raise KeyError("x")
        return "done"

    async def check(scope: Scope, errors: list[Exception]) -> None:
        good, bad = scope.spawn(work(False)), scope.spawn(work(True))
        assert (await good, await bad) == ("done", None)
        assert [type(error) for error in errors] == [KeyError]
        await turn()
        assert scope.cancel() == []

    run(check)


def test_cancelling_ends_all_but_the_current_task_also_before_their_first_step() -> None:
    ended: list[str] = []

    async def forever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def check(scope: Scope, errors: list[Exception]) -> None:
        async def cancel() -> int:
            scope.spawn(forever("never begun"))
            return len(scope.cancel())

        scope.spawn(forever("begun"))
        adopted = asyncio.create_task(forever("adopted"))
        scope.adopt(adopted)
        await turn()
        assert await scope.spawn(cancel()) == 3
        await turn(2)
        assert sorted(ended) == ["adopted", "begun"] and errors == []

    run(check)


def test_only_a_coroutine_can_be_a_task() -> None:
    async def check(scope: Scope, errors: list[Exception]) -> None:
        for wrong in (forget, None, asyncio.get_running_loop().create_future()):
            with pytest.raises(TypeError, match="wants a coroutine"):
                scope.spawn(wrong)  # type: ignore[arg-type]

    async def forget() -> None: ...

    run(check)


def test_every_is_now_and_then_and_makes_up_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [0.0]

    async def check(scope: Scope, errors: list[Exception]) -> None:
        sleep = asyncio.sleep
        loop = asyncio.get_running_loop()
        calls: list[float] = []

        async def fake_sleep(seconds: float) -> None:
            slept.append(seconds)
            now[0] += seconds
            await sleep(0)

        async def slow() -> None:
            calls.append(now[0])
            now[0] += 2.5 if len(calls) == 2 else 0.25

        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", fake_sleep)
            patch.setattr(loop, "time", lambda: now[0])
            task = scope.every(1, slow)
            while len(calls) < 4:
                await sleep(0)
            task.cancel()
        assert calls == [0, 1, 3.5, 4.5]
        assert slept[:3] == [0.75, 0, 0.75]
        for wrong in (0, -1, float("nan")):
            with pytest.raises(ValueError, match="more than 0 seconds"):
                scope.every(wrong, slow)

    run(check)


def test_after_the_end_nothing_starts() -> None:
    async def work() -> Any: ...

    with pytest.raises(RuntimeError, match="the connection is closed"):
        refuse(work())
    with pytest.raises(RuntimeError, match="the connection is closed"):
        refuse(None)
