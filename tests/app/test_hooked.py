"""The hooks of one peer: their order, their errors, their end, and what pauses its link."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.hooked import GONE
from longwave.app.hooks import CloseDetails, define_websocket_handler
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.errors import MessageError
from longwave.hub import hub as hub_module
from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus
from tests.app.harness import FakeLink, connect, make_app, run_app, turn


class CountingLink(FakeLink):
    """A link that says how often it was paused and resumed; calls must not nest."""

    def __init__(self, wire: Any) -> None:
        super().__init__(wire)
        self.calls: list[str] = []

    def pause(self) -> None:
        self.calls.append("pause")
        super().pause()

    def resume(self) -> None:
        self.calls.append("resume")
        super().resume()


async def connect_counting(app: App) -> tuple[Peer, CountingLink]:
    peer, plain = await connect(app)
    link = CountingLink(plain.wire)
    peer._link = link
    return peer, link


def gated(seen: list[str], gates: dict[str, asyncio.Event]) -> Any:
    async def on_message(peer: Peer, message: Message) -> None:
        gate = gates.setdefault(message.text(), asyncio.Event())
        await gate.wait()
        seen.append(message.text())

    return on_message


def test_a_link_is_resumed_once_for_each_pause() -> None:
    seen: list[str] = []
    gates: dict[str, asyncio.Event] = {}

    async def check(app: App) -> None:
        peer, link = await connect_counting(app)
        for i in range(4):
            peer.received(str(i), True)
        assert link.calls == ["pause"]
        for i in range(4):
            gates.setdefault(str(i), asyncio.Event()).set()
        await turn(8)
        assert seen == list("0123") and link.calls == ["pause", "resume"]
        peer.received("4", True)
        gates.setdefault("4", asyncio.Event()).set()
        await turn(4)
        assert link.calls == ["pause", "resume"]

    handler = define_websocket_handler(message=gated(seen, gates))
    run_app(make_app({"/ws": handler}, limits=Limits(waiting_messages=3)), check)


@pytest.mark.parametrize("first", ["inbox", "hub"])
def test_neither_reason_to_pause_undoes_the_other(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "SLICE", 1)
    monkeypatch.setattr(hub_module, "BATCHES", 1)
    seen: list[str] = []
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def check(app: App) -> None:
        peer, link = await connect_counting(app)
        for _ in range(4):
            (await connect(app))[0].subscribe("room")
        hub = app.runtime.hub

        def fall_behind() -> None:
            for _ in range(3):
                peer.publish("room", "x")
                hub.flush()
                peer.publish("room", "y")
            assert hub.behind and link.paused

        peer.received("a", True)
        if first == "hub":
            fall_behind()
        peer.received("b", True)
        assert link.paused
        if first == "inbox":
            fall_behind()
            gates["a"].set()
            await turn(2)
            assert seen == ["a"] and hub.behind and link.paused
            gates["b"].set()
            await turn(20)
        else:
            await turn(20)
            assert not hub.pending and link.paused
            gates["a"].set()
            gates["b"].set()
        await turn(6)
        assert seen == ["a", "b"]
        assert link.calls == ["pause", "resume"]

    handler = define_websocket_handler(message=gated(seen, gates))
    run_app(make_app({"/ws": handler}, limits=Limits(waiting_messages=1)), check)


def test_a_peer_that_went_away_while_the_hub_was_behind_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "SLICE", 1)
    monkeypatch.setattr(hub_module, "BATCHES", 1)

    async def check(app: App) -> None:
        peer, link = await connect_counting(app)
        for _ in range(4):
            (await connect(app))[0].subscribe("room")
        peer.publish("room", "x")
        app.runtime.hub.flush()
        peer.publish("room", "y")
        assert link.paused
        peer.closed(1006, "")
        await turn(10)
        assert link.calls == ["pause"]

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def cancel_inside(name: str, is_async: bool) -> dict[str, Callable[..., Any]]:
    async def later(*_: Any) -> None:
        task = asyncio.ensure_future(asyncio.sleep(10))
        task.cancel()
        await task

    def now(*_: Any) -> None:
        raise asyncio.CancelledError

    return {name: later if is_async else now}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", ["open", "message", "drain", "ping", "pong"])
def test_a_hook_that_cancels_itself_has_failed_and_hooks_go_on(
    name: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Exception] = []
    closed: list[CloseDetails] = []

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.received("x", True)
        peer.drained()
        peer.pinged(b"")
        peer.ponged(b"")
        await turn(6)
        assert link.closed_with == (1011, "") and not link.paused
        peer.closed(1011, "")
        await turn(3)
        assert [type(error) for error in heard] == [RuntimeError]
        assert [details.code for details in closed] == [1011]

    handler = define_websocket_handler(
        error=lambda peer, error: heard.append(error),
        close=lambda peer, details: closed.append(details),
        **cancel_inside(name, is_async),  # type: ignore[arg-type]
    )
    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/ws": handler}, limits=Limits(waiting_messages=1)), check)
    assert [record.getMessage() for record in caplog.records] == [f"{name} hook of /ws (/ws) failed"]


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_hook_runs_in_order_and_may_say_a_last_word(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[str] = []

    def on_message(peer: Peer, message: Message) -> None:
        events.append(message.text())
        if message.text() == "bad":
            raise KeyError("bad")

    def now(peer: Peer, error: Exception) -> None:
        assert peer.send("sorry") is SendStatus.SENT
        events.append("error")

    async def later(peer: Peer, error: Exception) -> None:
        await asyncio.sleep(0)
        now(peer, error)

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.received("bad", True)
        if is_async:
            peer.received("dropped, for it came before the end", True)
        await turn(4)
        assert link.messages == ["sorry"] and link.closed_with == (1011, "")
        peer.closed(1011, "")
        await turn(2)
        assert events == ["bad", "error", "close"]

    handler = define_websocket_handler(
        message=on_message, error=later if is_async else now, close=lambda: events.append("close")
    )
    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/ws": handler}), check)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("what", ["message", "mistake", "task"])
def test_an_error_in_the_error_hook_ends_the_peer_and_nothing_else(
    what: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Exception] = []

    def now(peer: Peer, error: Exception) -> None:
        calls.append(error)
        raise RuntimeError("error hook")

    async def later(peer: Peer, error: Exception) -> None:
        now(peer, error)

    def on_message(peer: Peer, message: Message) -> None:
        if what == "message":
            raise KeyError("x")
        message.json(int)

    async def fail() -> None:
        raise KeyError("x")

    async def check(app: App) -> None:
        peer, link = await connect(app)
        _, second = await connect(app)
        if what == "task":
            peer.spawn(fail())
        else:
            peer.received("x", True)
        await turn(4)
        assert len(calls) == 1
        assert link.closed_with == (1011, "") and second.closed_with is None
        assert app.stats()["errors"] == (1 if what == "mistake" else 2)

    handler = define_websocket_handler(message=on_message, error=later if is_async else now)
    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/ws": handler}), check)
    logged = [record.getMessage().partition(" of ")[0] for record in caplog.records]
    assert (
        logged
        == {
            "message": ["message hook", "error hook"],
            "mistake": ["error hook"],
            "task": ["task", "error hook"],
        }[what]
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_a_message_that_does_not_fit_leaves_the_connection_open(is_async: bool) -> None:
    heard: list[Exception] = []

    async def later(peer: Peer, message: Message) -> None:
        await asyncio.sleep(0)
        message.json(list[int])

    def now(peer: Peer, message: Message) -> None:
        message.json(list[int])

    for error_hook in (None, lambda peer, error: heard.append(error)):

        async def check(app: App, has_hook: bool = error_hook is not None) -> None:
            peer, link = await connect(app)
            peer.received('["\\ud83d\\ude00"]', True)
            await turn(3)
            assert link.closed_with is None
            if has_hook:
                assert [type(error) for error in heard] == [MessageError] and link.messages == []
            else:
                (reply,) = link.messages
                assert '"status":400' in reply and "$[0]" in reply
            assert app.stats()["errors"] == 0

        handler = define_websocket_handler(message=later if is_async else now, error=error_hook)
        run_app(make_app({"/ws": handler}), check)


def test_a_task_that_fails_while_a_hook_runs_is_told_after_it(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    gate = asyncio.Event()

    async def on_message(peer: Peer, message: Message) -> None:
        await gate.wait()
        events.append("message")

    async def fail() -> None:
        raise KeyError("task")

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.received("x", True)
        peer.spawn(fail())
        await turn(3)
        assert events == []
        gate.set()
        await turn(3)
        assert events == ["message", "error"] and link.closed_with is None

    handler = define_websocket_handler(message=on_message, error=lambda peer, error: events.append("error"))
    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/ws": handler}), check)
    assert [record.getMessage() for record in caplog.records] == ["task of /ws (/ws) failed"]


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
