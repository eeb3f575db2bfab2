"""An event stream in each of its states: made, begun, opened, paused, ended, closed by the client."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.event_stream import EventStream, create_event_stream
from longwave.app.handlers import Middleware
from longwave.app.response import Response
from longwave.contract import FullReply, StreamReply
from longwave.core.sse import sse_wire
from longwave.errors import HTTPError
from longwave.limits import Limits
from tests.app.harness import FakeLink, ask, clean, full, make_app, open_stream, run_app, turn


def plain(event: Event) -> EventStream:
    return create_event_stream(event)


class Handler:
    """A handler whose steps the test lets go, one after the other."""

    def __init__(self, *steps: Callable[[EventStream], Any], result: Any = "stream") -> None:
        self.steps = steps
        self.result = result
        self.gate = asyncio.Semaphore(0)
        self.closed: list[str] = []
        self.made: list[EventStream] = []
        self.ended: list[str] = []

    async def __call__(self, event: Event) -> Any:
        stream = create_event_stream(event)
        self.made.append(stream)
        stream.on_closed(lambda: self.closed.append("closed"))
        try:
            for step in self.steps:
                result = step(stream)
                if hasattr(result, "__await__"):
                    await result
                await self.gate.acquire()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("returned")
        if isinstance(self.result, Exception):
            raise self.result
        return stream if self.result == "stream" else self.result


def push(stream: EventStream) -> Any:
    return stream.push("pushed")


def subscribe(stream: EventStream) -> Any:
    stream.subscribe("room")


@pytest.mark.parametrize("result", ["stream", "plain", HTTPError(409), KeyError("x"), Response("r", 201)])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("with_middleware", [False, True])
def test_whatever_the_handler_does_then(
    result: Any, begun: bool, opened: bool, with_middleware: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def passing(event: Event, next: Any) -> Any:
        return await next()

    async def check(app: App) -> None:
        task = asyncio.create_task(ask(app, "/sse"))
        await turn(4)
        link = FakeLink(sse_wire(False))
        if begun:
            reply = await task
            assert isinstance(reply, StreamReply)
            if opened:
                reply.session.opened(link)
        handler.gate.release()
        await turn(6)
        if not begun:
            reply = await task
            if result == "stream":
                assert isinstance(reply, StreamReply)
                reply.session.opened(link)
            else:
                assert isinstance(reply, FullReply)
                expected = {"plain": 200, "HTTPError": 409, "KeyError": 500, "Response": 201}
                assert reply.status == expected[result if result == "plain" else type(result).__name__]
        elif not opened:
            assert isinstance(reply, StreamReply)
            reply.session.opened(link)
        (stream,) = handler.made
        if result == "stream":
            assert link.closed_with is None and handler.closed == []
            assert link.text == ("data: pushed\n\n" if begun else "")
            stream.closed(1006, "")
        elif begun:
            assert link.text == "data: pushed\n\n" and link.closed_with == (1000, "")
            stream.closed(1000, "")
        await turn(3)
        assert handler.closed == ["closed"] and stream.is_closed
        assert not await stream.push("late")
        clean(app)

    handler = Handler(push if begun else subscribe, result=result)
    middleware = [Middleware(passing)] if with_middleware else []
    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/sse": handler}, middleware=middleware), check)


@pytest.mark.parametrize("with_middleware", [False, True])
@pytest.mark.parametrize("when", ["made", "begun", "opened", "begun, not opened"])
def test_whenever_the_client_goes(when: str, with_middleware: bool) -> None:
    async def passing(event: Event, next: Any) -> Any:
        return await next()

    async def check(app: App) -> None:
        task = asyncio.create_task(ask(app, "/sse"))
        await turn(4)
        link = FakeLink(sse_wire(False))
        if when == "made":
            task.cancel()
        else:
            reply = await task
            assert isinstance(reply, StreamReply)
            if when != "begun, not opened":
                reply.session.opened(link)
            reply.session.closed(1006, "")
            reply.session.closed(1006, "")
        await turn(6)
        assert handler.closed == ["closed"] and handler.ended == ["cancelled"]
        assert handler.made[0].is_closed
        clean(app)

    handler = Handler(subscribe if when == "made" else push, push)
    middleware = [Middleware(passing)] if with_middleware else []
    run_app(make_app({"/sse": handler}, middleware=middleware), check)


@pytest.mark.parametrize("with_middleware", [False, True])
def test_a_handler_that_closes_its_own_stream_goes_on(with_middleware: bool) -> None:
    async def passing(event: Event, next: Any) -> Any:
        return await next()

    async def check(app: App) -> None:
        _, link, _ = await open_stream(app, "/sse")
        handler.gate.release()
        await turn(3)
        assert link.closed_with == (1000, "")
        handler.made[0].closed(1000, "")
        await turn(3)
        handler.gate.release()
        await turn(3)
        assert handler.ended == ["returned"] and handler.closed == ["closed"]
        clean(app)

    handler = Handler(push, lambda stream: stream.close())
    middleware = [Middleware(passing)] if with_middleware else []
    run_app(make_app({"/sse": handler}, middleware=middleware), check)


@pytest.mark.parametrize("how", ["close", "closed"])
def test_a_stream_that_ended_before_its_head_is_out(how: str) -> None:
    async def check(app: App) -> None:
        reply = await ask(app, "/sse")
        assert isinstance(reply, StreamReply)
        stream = reply.session
        assert isinstance(stream, EventStream)
        stream.pause()
        assert await stream.push("kept")
        if how == "close":
            await stream.close()
        else:
            stream.closed(1006, "")
        await turn(2)
        assert closed == ["closed"] and stream.is_closed
        link = FakeLink(sse_wire(False))
        stream.opened(link)
        assert link.text == ("data: kept\n\n" if how == "close" else "")
        assert link.closed_with == (1000, "")
        stream.closed(1000, "")
        await turn(2)
        assert closed == ["closed"]
        clean(app)

    closed: list[str] = []

    def handler(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.on_closed(lambda: closed.append("closed"))
        return stream

    run_app(make_app({"/sse": handler}), check)


def test_a_middleware_that_answers_otherwise_ends_what_it_was_given() -> None:
    closed: list[str] = []

    async def other(event: Event, next: Any) -> Any:
        await next()
        if event.path == "/fails":
            raise HTTPError(409)
        return Response("other")

    def handler(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.subscribe("room")
        stream.every(0.001, lambda: stream.push("tick"))
        stream.on_closed(lambda: closed.append("closed"))
        return stream

    async def numbers(event: Event) -> Any:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append("finally")

    async def check(app: App) -> None:
        assert (await full(app, "/sse")).body == b"other"
        assert (await full(app, "/fails")).status == 409
        assert (await full(app, "/numbers")).body == b"other"
        await turn(6)
        assert closed == ["closed", "closed", "finally"]
        clean(app)

    routes = {"/sse": handler, "/fails": handler, "/numbers": numbers}
    run_app(make_app(routes, middleware=[Middleware(other)]), check)


def test_what_is_published_counts_from_the_subscription_on_and_keeps_its_order() -> None:
    async def handler(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.subscribe("room", event="news")
        event.app.publish("room", "1")
        await asyncio.sleep(0)
        event.app.publish("room", "2")
        await stream.push("3")
        event.app.publish("room", "4")
        await stream.push("5")
        return stream

    async def check(app: App) -> None:
        reply = await ask(app, "/sse")
        assert isinstance(reply, StreamReply)
        await turn(4)
        app.publish("room", "6")
        link = FakeLink(sse_wire(True))
        reply.session.opened(link)
        app.publish("room", "7")
        await turn(2)
        body, rest = b"", b"".join(link.written)
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        texts = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
        assert texts == list("1234567")
        assert body.count(b"event: news\n") == 5
        assert app.stats()["delivery_failures"] == 0
        reply.session.closed(1006, "")

    run_app(make_app({"/sse": handler}), check)


def test_too_much_before_the_head_is_out_ends_the_stream() -> None:
    async def check(app: App) -> None:
        reply = await ask(app, "/sse")
        assert isinstance(reply, StreamReply)
        stream = reply.session
        assert isinstance(stream, EventStream)
        stream.subscribe("room")
        for _ in range(3):
            app.publish("room", "x" * 60)
            await turn(2)
        assert stream.is_closed and app.stats()["topics"] == 0
        assert not await stream.push("late")

    run_app(make_app({"/sse": plain}, limits=Limits(outgoing=100)), check)


@pytest.mark.parametrize("how", ["closed", "ended", "not returned", "begun, then an error"])
def test_nothing_keeps_a_stream_that_is_gone(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(event: Event) -> Any:
        stream = create_event_stream(event)
        stream.subscribe("room")
        stream.on_closed(lambda: None)
        ghosts.append(weakref.ref(stream))
        ghosts.append(weakref.ref(event.context))
        if how.startswith("begun"):
            await stream.push("x")
            raise KeyError("x")
        stream.every(1, lambda: stream.push("x"))
        return None if how == "not returned" else stream

    class Context(dict[str, Any]):
        pass

    async def with_context(event: Event) -> Any:
        event.context = Context()
        return await handler(event)

    ghosts: list[Any] = []

    async def check(app: App) -> None:
        reply = await ask(app, "/sse")
        if isinstance(reply, StreamReply):
            reply.session.opened(FakeLink(sse_wire(False)))
            await turn(3)
            if how == "ended":
                reply.session.end()  # type: ignore[attr-defined]
            reply.session.closed(1006, "")
        del reply
        await turn(6)
        clean(app)
        # By counting alone: no cycle may need the collector.
        assert [ghost() for ghost in ghosts] == [None, None]

    gc.collect()
    gc.disable()
    try:
        with caplog.at_level(logging.CRITICAL):
            run_app(make_app({"/sse": with_context}), check)
    finally:
        gc.enable()


def test_head_request_of_a_handler_that_pushes() -> None:
    async def handler(event: Event) -> EventStream:
        stream = create_event_stream(event)
        results.append(await stream.push("x"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        results.append(await stream.push("y"))
        return stream

    results: list[bool] = []

    async def check(app: App) -> None:
        reply = await ask(app, "/sse", method="HEAD")
        assert isinstance(reply, StreamReply)
        link = FakeLink(sse_wire(False))
        link.close()
        reply.session.opened(link)
        reply.session.closed(1000, "")
        await turn(5)
        assert link.text == "" and results in ([True], [True, False])
        clean(app)

    run_app(make_app({"/sse": handler}), check)


def test_one_stream_for_one_request() -> None:
    kept: list[EventStream] = []

    def twice(event: Event) -> EventStream:
        create_event_stream(event)
        return create_event_stream(event)

    def foreign(event: Event) -> EventStream:
        if not kept:
            kept.append(create_event_stream(event))
        return kept[0]

    async def check(app: App) -> None:
        assert (await full(app, "/twice")).status == 500
        first = await ask(app, "/foreign")
        assert isinstance(first, StreamReply)
        assert (await full(app, "/foreign")).status == 500
        first.session.closed(1006, "")
        clean(app)

    logging.getLogger("longwave.error").disabled = True
    try:
        run_app(make_app({"/twice": twice, "/foreign": foreign}), check)
    finally:
        logging.getLogger("longwave.error").disabled = False


def test_the_head_takes_what_was_staged_over_its_own_but_for_the_type() -> None:
    def handler(event: Event) -> EventStream:
        event.response.set_header("cache-control", "no-store")
        event.response.set_header("content-type", "text/plain")
        event.response.set_header("x-own", "1")
        return create_event_stream(event)

    async def check(app: App) -> None:
        _, _, reply = await open_stream(app, "/sse")
        assert reply.headers == [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"x-accel-buffering", b"no"),
            (b"cache-control", b"no-store"),
            (b"x-own", b"1"),
        ]

    run_app(make_app({"/sse": handler}), check)
