from __future__ import annotations

import asyncio
import gc
import logging
import uuid
import weakref
from typing import Any

import msgspec
import pytest

from longwave.app.app import App
from longwave.app.hooks import CloseDetails, define_websocket_handler
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus
from tests.app.harness import connect, make_app, run_app, turn


class Words(msgspec.Struct):
    words: list[str]


def test_identity_and_request() -> None:
    async def check(app: App) -> None:
        peer, _ = await connect(app, "/rooms/7?x=1", headers=[(b"cookie", b"sid=abc")])
        assert str(uuid.UUID(peer.id, version=4)) == peer.id == str(peer) == f"{peer}"
        assert peer.namespace == "/rooms/7"
        assert peer.request.params == {"id": "7"}
        assert peer.request.query["x"] == "1"
        assert peer.request.cookies == {"sid": "abc"}
        assert peer.remote_address == ("192.0.2.1", 1234)
        assert peer.context is peer.request.context

    run_app(make_app({"/rooms/[id]": define_websocket_handler()}), check)


def test_what_can_be_sent() -> None:
    async def check(app: App) -> None:
        peer, link = await connect(app)
        assert peer.send("text") is SendStatus.SENT
        assert peer.send(b"\x00\x01") is SendStatus.SENT
        assert peer.send({"a": [1, None, True]}) is SendStatus.SENT
        assert peer.send([1, 2]) is SendStatus.SENT
        assert peer.send(7) is SendStatus.SENT
        assert peer.send(Words(["x"])) is SendStatus.SENT
        assert peer.send(Message(peer, b"raw", False)) is SendStatus.SENT
        assert link.written == [
            b"\x81\x04text",
            b"\x82\x02\x00\x01",
            b'\x81\x17{"a":[1,null,true]}'.replace(b"\x17", bytes([len('{"a":[1,null,true]}')])),
            b"\x81\x05[1,2]",
            b"\x81\x017",
            b'\x81\x0f{"words":["x"]}',
            b"\x82\x03raw",
        ]
        for bad in (None, object(), lambda: None):
            with pytest.raises(TypeError, match="cannot be sent"):
                peer.send(bad)
        with pytest.raises(ValueError, match="surrogates"):
            peer.send("\ud800")

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_the_publisher_needs_no_subscription_and_is_left_out() -> None:
    async def check(app: App) -> None:
        me, mine = await connect(app)
        other, theirs = await connect(app)
        me.publish("room", "before")
        me.subscribe("room")
        other.subscribe("room")
        me.publish("room", "1")
        me.send("own")
        me.publish("room", "2", include_self=True)
        await turn(2)
        assert mine.messages == ["own", "2"]
        assert theirs.messages == ["1", "2"]
        assert me.topics == {"room"}

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_namespaces_keep_rooms_apart() -> None:
    async def check(app: App) -> None:
        one, first = await connect(app, "/rooms/1")
        two, second = await connect(app, "/rooms/2")
        for peer in (one, two):
            peer.subscribe("room")
        one.publish("room", "here", include_self=True)
        app.publish("room", "all")
        app.publish("room", "second", namespace="/rooms/2")
        await turn(2)
        assert first.messages == ["here", "all"]
        assert second.messages == ["all", "second"]
        assert list(one.peers) == [one]
        assert len(two.peers) == 1 and two in two.peers

    run_app(make_app({"/rooms/[id]": define_websocket_handler()}), check)


def test_hooks_of_one_peer_run_in_order_and_open_is_first() -> None:
    seen: list[Any] = []
    gate = asyncio.Event()

    async def on_open(peer: Peer) -> None:
        await gate.wait()
        seen.append("open")

    async def on_message(peer: Peer, message: Message) -> None:
        await asyncio.sleep(0)
        seen.append(message.text())

    def on_close(peer: Peer, details: CloseDetails) -> None:
        seen.append((details.code, details.reason, details.clean))

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        for i in range(3):
            peer.received(str(i), True)
        peer.closed(1001, "bye")
        await turn(3)
        assert seen == []
        gate.set()
        await turn(12)
        assert seen == ["open", "0", "1", "2", (1001, "bye", True)]

    handler = define_websocket_handler(open=on_open, message=on_message, close=on_close)
    run_app(make_app({"/ws": handler}), check)


def test_waiting_messages_are_bounded_by_pausing_the_link() -> None:
    gate = asyncio.Event()
    done: list[str] = []

    async def on_message(peer: Peer, message: Message) -> None:
        await gate.wait()
        done.append(message.text())

    async def check(app: App) -> None:
        peer, link = await connect(app)
        for i in range(5):
            assert link.paused == (i > 4)
            peer.received(str(i), True)
        gate.set()
        await turn(10)
        assert link.paused is False
        assert done == list("01234")

    app = make_app({"/ws": define_websocket_handler(message=on_message)}, limits=Limits(waiting_messages=4))
    run_app(app, check)


def test_a_hook_that_raises_closes_its_own_peer_alone(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Exception] = []

    def on_message(peer: Peer, message: Message) -> None:
        if message.text() == "bad":
            raise KeyError("oops")
        peer.send("fine")

    async def check(app: App) -> None:
        bad, first = await connect(app)
        good, second = await connect(app)
        bad.received("bad", True)
        good.received("good", True)
        assert first.closed_with == (1011, "")
        assert second.closed_with is None and second.messages == ["fine"]
        assert [type(error) for error in heard] == [KeyError]
        assert app.stats()["errors"] == 1

    handler = define_websocket_handler(message=on_message, error=lambda peer, error: heard.append(error))
    with caplog.at_level(logging.ERROR):
        run_app(make_app({"/ws": handler}), check)
    records = [record for record in caplog.records if record.name == "longwave.error"]
    assert len(records) == 1
    assert "message hook of /ws" in records[0].getMessage()


@pytest.mark.parametrize("hook", ["open", "message", "close", "drain", "ping", "pong", "error"])
@pytest.mark.parametrize("is_async", [False, True])
def test_no_hook_can_take_the_app_down(hook: str, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("hook")

    async def fail_later(*_: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("hook")

    hooks: dict[str, Any] = {hook: fail_later if is_async else fail}
    if hook == "error":
        hooks["message"] = fail

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.received("x", True)
        peer.drained()
        peer.pinged(b"")
        peer.ponged(b"")
        await turn(5)
        if hook != "close":
            assert link.closed_with == (1011, "")
        peer.closed(1011, "")
        await turn(5)
        other, _ = await connect(app)
        assert len(other.peers) == 1

    with caplog.at_level(logging.ERROR):
        run_app(make_app({"/ws": define_websocket_handler(**hooks)}), check)
    assert [r for r in caplog.records if r.exc_info and r.exc_info[0] is RuntimeError]


def test_typed_messages_are_decoded_and_checked() -> None:
    seen: list[Any] = []
    handler = define_websocket_handler()

    @handler.message
    def on_message(peer: Peer, message: Words) -> None:
        seen.append(message)

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.received('{"words":["a"]}', True)
        peer.received('{"words":["a",7]}', True)
        assert seen == [Words(["a"])]
        assert link.closed_with is None
        (reply,) = link.messages
        assert "$.words[1]" in reply and '"error":true' in reply

    run_app(make_app({"/ws": handler}), check)


def test_a_pydantic_model_is_a_type_of_message() -> None:
    import pydantic

    class Model(pydantic.BaseModel):
        count: int

    seen: list[Any] = []

    def on_message(peer: Peer, message: Any) -> None:
        seen.append(message)
        peer.send(message)

    on_message.__annotations__["message"] = Model

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.received('{"count":1}', True)
        peer.received('{"count":"x"}', True)
        assert seen == [Model(count=1)]
        assert link.messages[0] == '{"count":1}'
        assert "$.count" in link.messages[1]

    run_app(make_app({"/ws": define_websocket_handler(message=on_message)}), check)


def test_close_from_the_close_hook_still_publishes_to_others() -> None:
    def on_close(peer: Peer) -> None:
        assert peer.send("x") is SendStatus.CLOSED
        assert peer not in peer.peers
        peer.publish("room", "left")

    async def check(app: App) -> None:
        me, mine = await connect(app)
        other, theirs = await connect(app)
        for peer in (me, other):
            peer.subscribe("room")
        me.closed(1006, "")
        await turn(2)
        assert theirs.messages == ["left"]
        assert mine.messages == []
        assert me.topics == frozenset()

    run_app(make_app({"/ws": define_websocket_handler(close=on_close)}), check)


def test_close_sends_what_is_pending_first_and_checks_its_arguments() -> None:
    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.subscribe("room")
        app.publish("room", "last words")
        for code, reason in ((999, ""), (1005, ""), (1006, ""), (5000, ""), (1000, "x" * 124)):
            with pytest.raises(ValueError, match="close"):
                peer.close(code, reason)
        peer.close(4001, "over")
        assert link.messages == ["last words"]
        assert link.closed_with == (4001, "over")
        with pytest.raises(ValueError, match="125"):
            peer.ping(b"x" * 126)

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_tasks_end_with_the_connection() -> None:
    events: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    ticks: list[int] = []

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        peer.spawn(forever())
        peer.every(0.001, lambda: ticks.append(1))
        while len(ticks) < 3:
            await asyncio.sleep(0.001)
        peer.closed(1000, "")
        await turn(3)
        count = len(ticks)
        await asyncio.sleep(0.01)
        assert events == ["cancelled"]
        assert len(ticks) == count
        with pytest.raises(RuntimeError, match="closed"):
            peer.spawn(forever())
        assert app.stats()["tasks"] == 0

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_a_hook_that_outlives_its_peer_is_cancelled_and_close_still_runs() -> None:
    events: list[str] = []

    async def on_message(peer: Peer, message: Message) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        peer.received("x", True)
        peer.received("dropped", True)
        peer.closed(1006, "")
        while "close" not in events:
            await asyncio.sleep(0.005)
        assert events == ["cancelled", "close"]

    handler = define_websocket_handler(message=on_message, close=lambda peer: events.append("close"))
    run_app(make_app({"/ws": handler}, timeouts=Timeouts(close=0.02)), check)


def test_wait_for_drain_ends_when_there_is_room_or_time_is_up() -> None:
    async def check(app: App) -> None:
        peer, link = await connect(app)
        link.buffered = 100
        with pytest.raises(TimeoutError):
            await peer.wait_for_drain(timeout=0.01)
        waiting = asyncio.ensure_future(peer.wait_for_drain(50))
        await turn(2)
        assert peer.buffered_amount == 100 and not waiting.done()
        link.buffered = 50
        link.room.set()
        await waiting

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_nothing_is_left_of_a_closed_peer() -> None:
    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.subscribe("room")
        ghost = weakref.ref(link)
        peer.closed(1000, "")
        assert app.runtime.namespaces == {}
        assert app.stats()["topics"] == app.stats()["peers"] == 0
        del peer, link
        await turn()
        gc.collect()
        assert ghost() is None

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_app_wide_hooks_run_before_the_routes_own() -> None:
    seen: list[str] = []
    own = define_websocket_handler(open=lambda peer: seen.append("own"))
    app = make_app({"/ws": own})
    app.use_hooks(
        define_websocket_handler(open=lambda peer: seen.append("app"), close=lambda: seen.append("c"))
    )

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        peer.closed(1000, "")
        assert seen == ["app", "own", "c"]

    run_app(app, check)


def test_the_view_of_peers_stays_live() -> None:
    async def check(app: App) -> None:
        me, _ = await connect(app)
        view = me.peers
        other, _ = await connect(app)
        assert set(view) == {me, other} and len(view) == 2 and me in view
        assert view & {me} == {me} and repr(view) == "<2 peers in /ws>"
        me.closed(1000, "")
        other.closed(1000, "")
        assert len(view) == 0 and list(view) == []
        late, _ = await connect(app)
        assert list(view) == [late]

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_a_peer_that_is_gone_can_be_used_without_harm() -> None:
    async def work() -> None: ...

    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.subscribe("room")
        peer.closed(1006, "")
        link.buffered = 10
        assert peer.send("x") is SendStatus.CLOSED and peer.buffered_amount == 0
        await peer.subscribe("room")
        await peer.unsubscribe("room")
        await peer.wait_for_drain()
        peer.publish("room", "x")
        peer.close()
        peer.terminate()
        peer.ping()
        peer.deliver(b"x")
        with pytest.raises(RuntimeError, match="the connection is closed"):
            peer.spawn(work())
        with pytest.raises(RuntimeError, match="the connection is closed"):
            peer.every(1, work)
        assert peer.topics == frozenset() and link.written == link.pings == [] and not link.aborted
        assert app.stats()["topics"] == app.stats()["tasks"] == 0

    run_app(make_app({"/ws": define_websocket_handler()}), check)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_waiting_for_a_drain_ends_with_the_connection_or_its_task(how: str) -> None:
    async def check(app: App) -> None:
        peer, link = await connect(app)
        link.buffered = 100
        waiting = asyncio.create_task(peer.wait_for_drain())
        await turn(2)
        if how == "closed":
            link.buffered = 0
            link.room.set()
            peer.closed(1006, "")
            await waiting
        else:
            waiting.cancel()
            await turn(2)
            assert waiting.cancelled()

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_the_status_of_a_send_is_exact_above_the_bound_of_merging() -> None:
    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.subscribe("room")
        app.publish("room", "1")
        assert peer.send("2") is SendStatus.SENT and link.written == []
        link.buffered, link.status = 51, SendStatus.BUFFERED
        assert peer.send("3") is SendStatus.BUFFERED
        assert link.messages == ["1", "2", "3"]
        for status in SendStatus:
            link.status = status
            assert peer.send("x") is status

    run_app(make_app({"/ws": define_websocket_handler()}, limits=Limits(outgoing=100)), check)
