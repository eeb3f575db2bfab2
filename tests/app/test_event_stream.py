from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.event_stream import EventStream, create_event_stream
from longwave.app.hooks import define_websocket_handler
from longwave.app.values import EventMessage
from longwave.contract import FullReply, StreamReply
from longwave.errors import HTTPError
from longwave.limits import Limits
from longwave.types import SendStatus
from tests.app.harness import ask, connect, make_app, open_stream, run_app, turn


def plain(event: Event) -> EventStream:
    return create_event_stream(event)


def test_head_of_a_stream() -> None:
    def handler(event: Event) -> EventStream:
        event.response.set_cookie("a", "b")
        return create_event_stream(event).send()

    async def check(app: App) -> None:
        reply = await ask(app, "/sse")
        assert isinstance(reply, StreamReply)
        assert (reply.status, reply.format) == (200, "sse")
        assert reply.headers == [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"private, no-cache, no-store, no-transform, must-revalidate, max-age=0"),
            (b"x-accel-buffering", b"no"),
            (b"set-cookie", b"a=b; Path=/"),
        ]

    run_app(make_app({"GET /sse": handler}), check)


def test_what_can_be_pushed() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        assert await stream.push("a\r\nb")
        assert await stream.push({"x": 1}, EventMessage([1], event="list", id="7", retry=100))
        assert await stream.push_comment("still here")
        assert await stream.push(EventMessage("", id=""))
        assert link.text == (
            "data: a\ndata: b\n\n"
            'data: {"x":1}\n\nid: 7\nevent: list\nretry: 100\ndata: [1]\n\n'
            ": still here\n\n"
            "id: \ndata: \n\n"
        )
        assert len(link.written) == 4
        for bad in (EventMessage("x", event="a\nb"), EventMessage("x", id="a\0"), "\ud800"):
            with pytest.raises(ValueError):
                await stream.push(bad)
        with pytest.raises(TypeError):
            await stream.push(b"bytes")
        assert len(link.written) == 4

    run_app(make_app({"/sse": plain}), check)


def test_a_push_begins_the_response_before_the_handler_returns() -> None:
    gate = asyncio.Event()

    async def handler(event: Event) -> EventStream:
        stream = create_event_stream(event)
        await stream.push("first")
        await gate.wait()
        await stream.push("last")
        return stream

    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        assert link.text == "data: first\n\n"
        gate.set()
        await turn(3)
        assert link.text == "data: first\n\ndata: last\n\n"
        assert not stream.is_closed

    run_app(make_app({"/sse": handler}), check)


def test_a_stream_that_is_not_returned_is_closed() -> None:
    closed: list[str] = []
    made: list[EventStream] = []

    async def handler(event: Event) -> str:
        stream = create_event_stream(event)
        stream.on_closed(lambda: closed.append("closed"))
        made.append(stream)
        return "plain"

    async def check(app: App) -> None:
        reply = await ask(app, "/sse")
        assert isinstance(reply, FullReply) and reply.body == b"plain"
        await turn(2)
        assert closed == ["closed"]
        assert not await made[0].push("x")

    run_app(make_app({"/sse": handler}), check)


def test_a_failure_after_the_first_push_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(event: Event) -> None:
        stream = create_event_stream(event)
        await stream.push("first")
        await asyncio.sleep(0)
        raise RuntimeError("too late for a status")

    async def check(app: App) -> None:
        _, link, _ = await open_stream(app)
        await turn(3)
        assert link.closed_with == (1000, "")

    with caplog.at_level(logging.ERROR):
        run_app(make_app({"/sse": handler}), check)
    assert "too late" in caplog.text


def test_on_closed_runs_each_callback_once_in_order_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)

        @stream.on_closed
        def first() -> None:
            seen.append("first")
            raise RuntimeError("callback")

        @stream.on_closed
        async def second() -> None:
            seen.append("second")
            await stream.close()

        stream.closed(1006, "")
        stream.closed(1006, "")
        await turn(3)
        stream.on_closed(lambda: seen.append("late"))
        await turn(3)
        assert seen == ["first", "second", "late"]
        assert link.closed_with is None

    with caplog.at_level(logging.ERROR):
        run_app(make_app({"/sse": plain}), check)
    assert "callback" in caplog.text


def test_pause_keeps_pushes_back_and_close_flushes_them() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        stream.pause()
        await stream.push("1")
        await stream.push("2")
        assert stream.is_paused and link.written == []
        stream.flush()
        assert link.text == "data: 1\n\ndata: 2\n\n" and len(link.written) == 1
        await stream.push("3")
        stream.resume()
        assert link.text.endswith("data: 3\n\n")
        stream.pause()
        await stream.push("4")
        await stream.close()
        assert link.text.endswith("data: 4\n\n")
        assert link.closed_with == (1000, "")
        assert not await stream.push("5")

    run_app(make_app({"/sse": plain}), check)


def test_paused_pushes_are_bounded() -> None:
    async def check(app: App) -> None:
        stream, _, _ = await open_stream(app)
        stream.pause()
        await stream.push("x" * 40)
        await stream.push("one more is always taken")
        waiting = asyncio.ensure_future(stream.push("y" * 40))
        await turn(3)
        assert not waiting.done()
        stream.resume()
        assert await waiting

    run_app(make_app({"/sse": plain}, limits=Limits(outgoing=64)), check)


def test_push_waits_while_the_client_is_slow() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        link.status, link.buffered = SendStatus.BUFFERED, 1 << 20
        waiting = asyncio.ensure_future(stream.push("x"))
        await turn(3)
        assert not waiting.done()
        link.buffered = 0
        link.room.set()
        assert await waiting

    run_app(make_app({"/sse": plain}), check)


def test_topics_reach_streams_and_sockets_alike() -> None:
    chat = define_websocket_handler()

    def everywhere(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.subscribe("room", event="news")
        return stream

    def of_chat(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.subscribe("room", of=chat)
        return stream

    async def check(app: App) -> None:
        peer, socket = await connect(app)
        peer.subscribe("room")
        _, all_of_it, _ = await open_stream(app, "/all")
        _, only_chat, _ = await open_stream(app, "/chat")
        peer.publish("room", {"a": 1})
        app.publish("room", "x\ny", namespace="/elsewhere")
        app.publish("room", b"\x00\xff")
        await turn(2)
        assert socket.written == [b"\x82\x02\x00\xff"]
        assert all_of_it.text == (
            'event: news\ndata: {"a":1}\n\n'
            "event: news\ndata: x\ndata: y\n\n"
            "event: longwave:binary\ndata: AP8=\n\n"
        )
        assert only_chat.text == 'data: {"a":1}\n\nevent: longwave:binary\ndata: AP8=\n\n'

    run_app(make_app({"/ws": chat, "/all": everywhere, "/chat": of_chat}), check)


def test_order_of_pushes_and_publications_is_the_programs() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        stream.subscribe("room")
        app.publish("room", "1")
        await stream.push("2")
        app.publish("room", "3")
        await stream.push("4")
        await turn(2)
        assert link.text == "".join(f"data: {i}\n\n" for i in (1, 2, 3, 4))

    run_app(make_app({"/sse": plain}), check)


async def numbers(event: Event) -> AsyncIterator[Any]:
    for i in range(3):
        yield i


def test_a_generator_is_a_stream_that_ends_for_good() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        await turn(5)
        assert link.text == (
            "data: 0\n\ndata: 1\n\ndata: 2\n\nid: longwave-end\nevent: longwave:end\ndata: \n\n"
        )
        assert link.closed_with == (1000, "")
        assert stream.is_closed
        again = await ask(app, "/sse", headers=[(b"last-event-id", b"longwave-end")])
        assert isinstance(again, FullReply) and again.status == 204
        by_query = await ask(app, "/sse?last_event_id=longwave-end")
        assert isinstance(by_query, FullReply) and by_query.status == 204

    run_app(make_app({"/sse": numbers}), check)


def test_an_error_before_the_first_item_is_a_status() -> None:
    async def handler(event: Event) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        if event.query["x"]:
            raise HTTPError(402, "pay first")
        yield "never"

    async def check(app: App) -> None:
        reply = await ask(app, "/sse?x=1")
        assert isinstance(reply, FullReply) and reply.status == 402
        reply = await ask(app, "/sse")
        assert isinstance(reply, FullReply) and reply.status == 400

    run_app(make_app({"/sse": handler}), check)


def test_a_slow_first_item_does_not_hold_the_head_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwave.app.dispatch.FIRST_ITEM", 0.01)
    gate = asyncio.Event()

    async def handler(event: Event) -> AsyncIterator[str]:
        await gate.wait()
        yield "late"

    async def check(app: App) -> None:
        _, link, _ = await open_stream(app)
        assert link.text == ""
        gate.set()
        await turn(5)
        assert link.text.startswith("data: late\n\n")

    run_app(make_app({"/sse": handler}), check)


def test_a_generator_is_closed_when_the_client_goes() -> None:
    events: list[str] = []

    async def handler(event: Event) -> AsyncIterator[str]:
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            events.append("finally")

    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        await turn(3)
        stream.closed(1006, "")
        await turn(5)
        assert events == ["finally"]
        assert app.stats()["tasks"] == app.stats()["streams"] == 0
        assert "longwave:end" not in link.text

    run_app(make_app({"/sse": handler}), check)


def test_every_and_spawn_end_with_the_stream() -> None:
    def handler(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.every(0.001, lambda: stream.push("tick"))
        return stream

    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        while link.text.count("tick") < 3:
            await asyncio.sleep(0.001)
        stream.closed(1006, "")
        await turn(3)
        count = link.text.count("tick")
        await asyncio.sleep(0.01)
        assert link.text.count("tick") == count
        assert app.stats()["tasks"] == 0

    run_app(make_app({"/sse": handler}), check)


def test_head_on_a_stream_route_is_a_head_alone() -> None:
    async def check(app: App) -> None:
        for path in ("/plain", "/numbers"):
            reply = await ask(app, path, method="HEAD")
            assert isinstance(reply, StreamReply)
            assert reply.headers[0][1].startswith(b"text/event-stream")
            reply.session.closed(1000, "")
        await turn(2)
        assert app.stats()["streams"] == app.stats()["tasks"] == 0

    run_app(make_app({"/plain": plain, "/numbers": numbers}), check)


def test_a_stream_may_be_used_from_a_thread_with_a_loop_of_its_own() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)

        async def elsewhere() -> None:
            stream.pause()
            assert await stream.push("1")
            stream.resume()
            assert await stream.push("2")
            await stream.subscribe("room")
            app.publish("room", "3")
            await stream.close()

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        await turn(3)
        assert link.text == "data: 1\n\ndata: 2\n\ndata: 3\n\n"
        assert link.closed_with == (1000, "")

    run_app(make_app({"/sse": plain}), check)


class Timer:
    def __init__(self, clock: Clock, entry: Any) -> None:
        self.clock, self.entry = clock, entry

    def cancel(self) -> None:
        if self.entry in self.clock.due:
            self.clock.due.remove(self.entry)


class Clock:
    """Time that moves by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.due: list[tuple[float, Any, tuple[Any, ...]]] = []

    def now(self) -> float:
        return self.time

    def call_later(self, seconds: float, callback: Any, *arguments: Any) -> Any:
        entry = (self.time + seconds, callback, arguments)
        self.due.append(entry)
        return Timer(self, entry)

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while self.due and min(self.due, key=lambda e: e[0])[0] <= end:
            entry = min(self.due, key=lambda e: e[0])
            self.due.remove(entry)
            self.time = entry[0]
            entry[1](*entry[2])
        self.time = end


def test_silence_is_broken_by_a_comment_after_15_seconds() -> None:
    clock = Clock()

    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app)
        clock.advance(14)
        assert link.text == ""
        await stream.push("x")
        clock.advance(14)
        assert link.text == "data: x\n\n"
        clock.advance(1)
        assert link.text == "data: x\n\n: \n\n"
        clock.advance(60)
        assert link.text.count(": \n\n") == 5
        stream.closed(1006, "")

    run_app(make_app({"/sse": plain}, clock=clock), check)
