from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.hooks import define_websocket_handler
from longwave.backplane.memory import MemoryBus
from longwave.errors import BackplaneError
from longwave.hub.drivers import Envelope
from tests.app.harness import connect, make_app, turn


def run_two(test: Any) -> None:
    async def main() -> None:
        bus = MemoryBus()
        nodes = [make_app({"/ws": define_websocket_handler()}, backplane=bus.backplane()) for _ in range(2)]
        for node in nodes:
            await node.startup()
        try:
            await test(*nodes)
        finally:
            for node in nodes:
                await node.shutdown()
        assert bus.members == []

    asyncio.run(main())


def test_a_publication_reaches_the_other_node_once_and_not_its_own_twice() -> None:
    async def check(one: App, two: App) -> None:
        here, mine = await connect(one)
        there, theirs = await connect(two)
        here.subscribe("room")
        await there.subscribe("room")
        here.publish("room", {"a": 1}, include_self=True)
        two.publish("room", b"\x00")
        await turn(4)
        assert mine.written == [b'\x81\x07{"a":1}', b"\x82\x01\x00"]
        assert b"".join(theirs.written) == b'\x82\x01\x00\x81\x07{"a":1}'

    run_two(check)


def test_only_topics_that_are_listened_to_are_carried() -> None:
    async def check(one: App, two: App) -> None:
        here, _ = await connect(one)
        there, theirs = await connect(two)
        there.subscribe("other")
        here.publish("room", "x")
        await turn(4)
        assert theirs.messages == []
        there.unsubscribe("other")
        here.publish("other", "x")
        await turn(4)
        assert theirs.messages == []

    run_two(check)


def test_publishing_before_the_start_is_an_error() -> None:
    with pytest.raises(BackplaneError, match="not started"):
        MemoryBus().backplane().publish(Envelope("n", "t", b"", True))


def test_one_backplane_for_each_application() -> None:
    async def main() -> None:
        bus = MemoryBus()
        backplane = bus.backplane()
        await backplane.start(lambda envelope: None)
        with pytest.raises(BackplaneError, match="started already"):
            await backplane.start(lambda envelope: None)
        assert len(bus.members) == 1
        backplane.watch("room")
        await backplane.close()
        await backplane.close()
        assert bus.members == [] and backplane.topics == set()

    asyncio.run(main())


def test_a_member_whose_loop_is_closed_hinders_no_other() -> None:
    bus = MemoryBus()

    async def leave_without_a_word() -> None:
        gone = bus.backplane()
        await gone.start(lambda envelope: None)
        gone.watch("room")

    asyncio.run(leave_without_a_word())

    async def check(one: App, two: App) -> None:
        there, theirs = await connect(two)
        await there.subscribe("room")
        one.publish("room", "x")
        await turn(4)
        assert theirs.messages == ["x"]

    async def main() -> None:
        nodes = [make_app({"/ws": define_websocket_handler()}, backplane=bus.backplane()) for _ in range(2)]
        for node in nodes:
            await node.startup()
        await check(*nodes)
        for node in nodes:
            await node.shutdown()

    asyncio.run(main())


def test_waiting_for_a_subscription_waits_for_the_bus() -> None:
    async def check(one: App, two: App) -> None:
        here, _ = await connect(one)
        first, second = here.subscribe("room"), here.subscribe("room")
        await first
        await second
        await here.unsubscribe("room")

    run_two(check)
