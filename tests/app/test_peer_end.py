"""The end of a peer: its close hook, the time that has, and that nothing keeps what is gone."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.hooked import GONE
from longwave.app.hooks import define_websocket_handler
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.limits import Timeouts
from longwave.types import SendStatus
from tests.app.harness import connect, make_app, run_app, turn


def test_what_waits_when_a_peer_closes_itself_is_dropped_but_not_when_its_client_does() -> None:
    seen: list[str] = []

    async def on_message(peer: Peer, message: Message) -> None:
        await asyncio.sleep(0)
        seen.append(message.text())
        if message.text() == "quit":
            peer.close(4000, "bye")

    async def check(app: App) -> None:
        peer, link = await connect(app)
        for text in ("1", "quit", "never"):
            peer.received(text, True)
        await turn(8)
        assert seen == ["1", "quit"] and link.closed_with == (4000, "bye")
        other, _ = await connect(app)
        for text in ("2", "3"):
            other.received(text, True)
        other.closed(1000, "")
        await turn(8)
        assert seen == ["1", "quit", "2", "3"]

    run_app(make_app({"/ws": define_websocket_handler(message=on_message)}), check)


def test_close_is_told_once_and_only_to_who_was_opened() -> None:
    closed: list[int] = []

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        peer.closed(1001, "")
        peer.closed(1006, "")
        unopened = Peer(app.runtime, peer._route, peer.request)
        unopened.closed(1006, "")
        await turn(2)
        assert closed == [1001] and unopened.closed_with is None

    handler = define_websocket_handler(close=lambda peer, details: closed.append(details.code))
    run_app(make_app({"/ws": handler}), check)


class Clock:
    """Timers that the test fires."""

    def __init__(self) -> None:
        self.timers: list[Any] = []

    def now(self) -> float:
        return 0.0

    def call_later(self, seconds: float, callback: Any, *arguments: Any) -> Any:
        timer = [True, lambda: callback(*arguments)]
        self.timers.append(timer)

        class Handle:
            def cancel(self) -> None:
                timer[0] = False

        return Handle()

    def fire(self) -> int:
        timers, self.timers = [timer for timer in self.timers if timer[0]], []
        for timer in timers:
            timer[1]()
        return len(timers)


def test_a_close_hook_has_its_own_time_after_a_hook_that_was_cancelled() -> None:
    events: list[str] = []
    clock = Clock()

    def hook(name: str) -> Any:
        async def run(*_: Any) -> None:
            events.append(f"{name} begins")
            try:
                await asyncio.Event().wait()
            finally:
                events.append(f"{name} ends")

        return run

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        peer.received("x", True)
        peer.received("dropped", True)
        await turn(2)
        peer.closed(1006, "")
        assert clock.fire() == 1
        await turn(3)
        assert events == ["message begins", "message ends", "close begins"]
        assert clock.fire() == 1
        await turn(3)
        assert events[3:] == ["close ends"]
        assert clock.fire() == 0
        assert app.stats()["tasks"] == 0

    handler = define_websocket_handler(message=hook("message"), close=hook("close"))
    run_app(make_app({"/ws": handler}, clock=clock), check)


@pytest.mark.parametrize("how", ["idle", "async close", "hook runs", "tasks", "failed"])
def test_nothing_keeps_a_peer_that_is_gone(how: str, caplog: pytest.LogCaptureFixture) -> None:
    gate = asyncio.Event()

    async def on_message(peer: Peer, message: Message) -> None:
        if how == "failed":
            raise KeyError("x")
        await gate.wait()

    async def on_close(peer: Peer) -> None:
        await asyncio.sleep(0)

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.subscribe("room")
        peer.publish("room", "x", include_self=True)
        peer.send("own")
        if how in ("hook runs", "failed"):
            peer.received("x", True)
            await turn(2)
        if how == "tasks":
            peer.spawn(asyncio.sleep(10))
            peer.every(1, lambda: None)
            await turn(2)
        ghost = weakref.ref(peer)
        peer.closed(1006, "")
        assert peer._link is GONE
        gate.set()
        link.room = None  # type: ignore[assignment]
        await turn(6)
        assert app.stats()["tasks"] == app.stats()["peers"] == 0
        peer = None  # type: ignore[assignment]
        link = None  # type: ignore[assignment]
        # By counting alone: no cycle may need the collector.
        assert ghost() is None

    hooks: dict[str, Any] = {"message": on_message}
    if how == "async close":
        hooks["close"] = on_close
    gc.collect()
    gc.disable()
    try:
        with caplog.at_level(logging.CRITICAL):
            caplog.handler.records.clear()
            run_app(make_app({"/ws": define_websocket_handler(**hooks)}), check)
    finally:
        gc.enable()


def test_a_timer_does_not_outlive_its_hook() -> None:
    clock = Clock()

    async def on_close(peer: Peer) -> None:
        await asyncio.sleep(0)

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        peer.closed(1000, "")
        await turn(4)
        assert clock.fire() == 0

    run_app(
        make_app({"/ws": define_websocket_handler(close=on_close)}, clock=clock, timeouts=Timeouts(close=60)),
        check,
    )


def test_a_link_that_is_gone_takes_nothing() -> None:
    async def main() -> None:
        assert GONE.write(b"x") is SendStatus.CLOSED and GONE.buffered == 0
        GONE.ping()
        GONE.pause()
        GONE.resume()
        GONE.close()
        GONE.abort()
        await GONE.drained()
        with pytest.raises(RuntimeError, match="closed"):
            GONE.wire  # noqa: B018

    asyncio.run(main())
