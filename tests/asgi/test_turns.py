"""One WebSocket's share of the loop under ASGI: servers hand over what they have without a pause."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.asgi import websocket
from longwave.limits import Limits, Timeouts
from tests.asgi.driver import Recorder, asynchronous, turns
from tests.asgi.sockets import Socket

TURN = Timeouts().turn


class Clock:
    """A clock that stands still unless it is told not to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(websocket, "monotonic", clock)
    return clock


@asynchronous
async def test_hooks_that_take_long_give_way_within_one_turn_of_the_loop(clock: Clock) -> None:
    order: list[Any] = []

    def slow(link: Any, data: str | bytes) -> None:
        order.append(data)
        clock.now += TURN * 0.6

    socket = await Socket(Recorder(slow)).open()
    for number in range(6):
        socket.host.text(str(number))

    async def other() -> None:
        while "5" not in order:
            order.append("other")
            await asyncio.sleep(0)

    await asyncio.wait_for(other(), 5)
    assert [item for item in order if item != "other"] == ["0", "1", "2", "3", "4", "5"]
    between = "".join("." if item == "other" else item for item in order).strip(".").split(".")
    assert between == ["01", "23", "45"]
    assert socket.host.app.stats()["timeouts.turn"] == 3


@asynchronous
async def test_many_messages_give_way_to_others(clock: Clock) -> None:
    order: list[Any] = []
    socket = await Socket(
        Recorder(lambda link, data: order.append(data)), limits=Limits(messages_per_turn=4)
    ).open()
    for number in range(20):
        socket.host.text(str(number))

    async def other() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            order.append("other")

    await asyncio.gather(other(), turns())
    assert order.index("other") < 10
    assert [item for item in order if item != "other"] == list(map(str, range(20)))
    assert socket.host.app.stats()["limits.messages_per_turn"] == 5


@asynchronous
async def test_time_in_which_nothing_came_is_nobodys_turn(clock: Clock) -> None:
    socket = await Socket().open()
    for number in range(5):
        clock.now += 10
        socket.host.text(str(number))
        await turns()
    assert socket.events == ["opened", "0", "1", "2", "3", "4"]
    stats = socket.host.app.stats()
    assert stats["timeouts.turn"] == stats["limits.messages_per_turn"] == 0
