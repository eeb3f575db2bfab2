"""The hooks of one peer: their order, their errors, their end, and what pauses its link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.hooks import CloseDetails, define_websocket_handler
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.errors import MessageError
from longwave.hub import hub as hub_module
from longwave.limits import Limits
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
