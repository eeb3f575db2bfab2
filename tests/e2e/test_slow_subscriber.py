"""One of many that stops to read: the others notice nothing, and it is let go of at its bound (check 19).

Policies and what is told of a buffer are tested one by one in test_slow_clients.py; this is the crowd.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bench.robustness.subscriber import SlowSubscriber, slow_subscriber
from tests.conftest import FULL
from tests.e2e.machine import Machine
from tests.e2e.measuring import TOLERANCE, measuring, once_more, scenario
from tests.e2e.probe import MIB
from tests.e2e.wire import measured

KIB = 1024
BOUND = MIB
SIZE = KIB
LISTENERS, RATE, SECONDS = (500, 100, (10, 60)) if FULL else (50, 1000, (1.5, 6))
"""Ten times the rate fills its buffer in a tenth of the time, and a tenth of the listeners makes it as many
deliveries."""
AFTER = None if FULL else 1.0
"""Seconds for which the others are listened to once it has been let go of; None: to the end."""


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_one_slow_subscriber_of_many(tmp_path_factory: pytest.TempPathFactory) -> None:
    with measuring(tmp_path_factory.mktemp("slow"), {"timeouts.close": 0.5}) as server:
        before, machine = 0, Machine()

        async def ask(method: str, path: str) -> dict[str, Any]:
            return await asyncio.to_thread(server.ask, method, path)

        async def buffered() -> int:
            return int((await ask("GET", "/bench/room"))["buffered"])

        async def is_cut() -> bool:
            return await asyncio.to_thread(server.passed, "limits.outgoing") > before

        def measure() -> SlowSubscriber:
            nonlocal before
            before = server.passed("limits.outgoing")
            return scenario(
                server,
                lambda target: slow_subscriber(
                    target, LISTENERS, RATE, SECONDS, size=SIZE, after=AFTER, buffered=buffered, is_cut=is_cut
                ),
                60 + sum(SECONDS),
            )

        def is_good(result: SlowSubscriber) -> bool:
            # Below 20 ms a p99 is that of a busy machine, not ours.
            return result.during <= max(1.2 * result.before, 0.02)

        result = once_more(measure, is_good)
        measured("the others' p99 before, in ms", 1000 * result.before)
        measured("the others' p99 meanwhile, in ms", 1000 * result.during)
        measured("most that waited, in KiB", result.buffered / KIB)
        measured("seconds until it was cut", result.cut_after or float("inf"))
        assert result.lost == 0
        assert is_good(replace(result, during=result.during / TOLERANCE)) or machine.is_crowded()
        # It grew to its bound, never beyond it and one message.
        assert BOUND / 2 < result.buffered <= BOUND + SIZE + 14
        assert result.cut_after is not None
        assert server.passed("limits.outgoing") == before + 1
        # What it finds when it reads again: everything up to then, in order, and why it was closed.
        assert result.wrong == 0
        assert result.got * SIZE > BOUND
        assert result.code == 1013
