"""One that speaks to thousands, and four times as many requests as can be answered (checks 13, 14)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from bench.robustness.crowd import Member, crowd
from bench.robustness.load import FanOut, Overload, fan_out, overload
from bench.robustness.target import Target
from tests.conftest import FULL
from tests.e2e.machine import Machine
from tests.e2e.measuring import TOLERANCE, measuring, once_more, scenario
from tests.e2e.wire import measured

LISTENERS = 2000
RATE = 20
CAP = 32


@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("publishers", [1, 4])
def test_all_hear_everything_in_order(tmp_path_factory: pytest.TempPathFactory, publishers: int) -> None:
    seconds = (60 if publishers == 1 else 20) if FULL else 2

    with measuring(tmp_path_factory.mktemp("fan"), {"timeouts.close": 0.5}) as server:
        machine = Machine()

        def measure() -> FanOut:
            return scenario(
                server,
                lambda target: fan_out(target, LISTENERS, RATE, seconds, publishers=publishers),
                30 + 2 * seconds,
            )

        result = once_more(measure, lambda result: result.p99 <= 0.15)
        measured("deliveries", result.got)
        measured("p50 in ms", 1000 * result.p50)
        measured("p99 in ms", 1000 * result.p99)
        assert result.expected == LISTENERS * RATE * seconds
        assert (result.got, result.wrong) == (result.expected, 0)
        assert result.p99 <= 0.15 * TOLERANCE or machine.is_crowded()
        assert server.passed("limits.outgoing") == 0


@pytest.mark.alone
@pytest.mark.timeout(200)
def test_four_times_as_many_requests_as_can_be_answered(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    seconds = 30 if FULL else 2

    with measuring(
        tmp_path_factory.mktemp("overload"), {"limits.connections": CAP, "timeouts.close": 0.5}
    ) as server:
        machine = Machine()

        def measure() -> Overload:
            return scenario(server, lambda target: overload(target, seconds), 60 + seconds)

        result = once_more(
            measure,
            lambda result: (
                result.recovered_in is not None and result.recovered_in <= 5 and result.accepted.p99 <= 2
            ),
        )
        measured("capacity", result.capacity)
        measured("normal p99 in ms", 1000 * result.normal.p99)
        measured("p99 of what was accepted, in ms", 1000 * result.accepted.p99)
        measured("seconds to recover", result.recovered_in or float("inf"))
        print(dict(result.statuses))
        # Everybody was answered: with what was asked for, or with a 503.
        assert set(result.statuses) == {"200", "503"}
        assert sum(result.statuses.values()) == round(result.offered * seconds)
        assert result.recovered_in is not None
        assert machine.is_crowded() or (
            result.statuses["200"] >= 0.5 * result.capacity * seconds
            and result.accepted.p99 <= 2 * TOLERANCE
            and result.recovered_in <= 5 * TOLERANCE
        )


def test_the_cap_holds_in_a_crowd(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All come in the same moment: so many as may get in, and each of the others is told so and counted."""
    cap, comers = 200, 280

    async def rush(target: Target) -> Counter[int]:
        async with crowd(target.port) as people:
            await asyncio.gather(*(people.join("/bench/echo", Member) for _ in range(comers)))
            return Counter(member.status for member in people.members)

    with measuring(
        tmp_path_factory.mktemp("cap"), {"limits.connections": cap, "timeouts.close": 0.5}
    ) as server:
        for rounds in (1, 2):
            assert scenario(server, rush, 30) == {101: cap, 503: comers - cap}
            assert server.passed("limits.connections") == rounds * (comers - cap)
