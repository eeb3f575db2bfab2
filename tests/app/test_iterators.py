from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.event_stream import create_event_stream
from longwave.app.handlers import Middleware
from longwave.app.iterators import BodyStream, close_items
from longwave.app.response import Response
from longwave.app.values import EventMessage
from longwave.contract import FullReply, StreamReply
from longwave.core.sse import BODY, BODY_CHUNKED
from longwave.errors import HTTPError
from longwave.limits import Limits
from longwave.types import SendStatus
from tests.app.harness import FakeLink, ask, clean, full, make_app, open_stream, run_app, turn


class Items:
    """An iterator that says what becomes of it; `gate` holds it back after its first item."""

    def __init__(self, *items: Any, gate: asyncio.Event | None = None, fail_to_close: bool = False) -> None:
        self.items = list(items)
        self.gate = gate
        self.fail_to_close = fail_to_close
        self.taken = 0
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self.gate is not None and self.taken:
            await self.gate.wait()
        self.taken += 1
        if not self.items:
            raise StopAsyncIteration
        item = self.items.pop(0)
        if isinstance(item, BaseException):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed += 1
        if self.fail_to_close:
            raise RuntimeError("does not close")


def run(test: Callable[[App], Awaitable[None]], **options: Any) -> None:
    async def check(app: App) -> None:
        await test(app)
        await turn(4)
        assert app.stats()["tasks"] == 0

    run_app(make_app({}, **options), check)


def test_what_is_yielded_is_written_and_the_iterator_closed_once() -> None:
    async def check(app: App) -> None:
        items = Items("é", b"b", bytearray(b"c"), memoryview(b"d"), b"")
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY_CHUNKED)
        stream.opened(link)
        stream.received("x", True)
        stream.pinged(b"")
        stream.ponged(b"")
        stream.drained()
        await turn(3)
        assert b"".join(link.written) == b"2\r\n\xc3\xa9\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n"
        assert link.closed_with == (1000, "") and not link.aborted
        stream.closed(1000, "")
        await turn(3)
        assert items.closed == 1

    run(check)


@pytest.mark.parametrize("item", [7, {"a": 1}, RuntimeError("half way"), asyncio.CancelledError()])
def test_what_fails_cuts_the_body_short(item: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def check(app: App) -> None:
        items = Items(b"one", item, b"two")
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
        stream.opened(link)
        await turn(3)
        assert link.written == [b"one"] and link.aborted and link.closed_with is None
        stream.closed(1006, "")
        await turn(3)
        assert items.closed == 1
        assert app.stats()["errors"] == 1

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check)
    assert [record.getMessage() for record in caplog.records] == ["a streamed body failed"]


def test_an_iterator_that_does_not_close_cuts_the_body_short(caplog: pytest.LogCaptureFixture) -> None:
    async def check(app: App) -> None:
        stream, link = BodyStream(app.runtime, Items(b"one", fail_to_close=True)), FakeLink(BODY)
        stream.opened(link)
        await turn(3)
        assert link.aborted
        stream.closed(1006, "")

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check)
    assert "does not close" in caplog.text


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_the_iterator_is_closed_when_the_client_goes_at_any_time(turns: int) -> None:
    async def check(app: App) -> None:
        items = Items(b"one", b"two", gate=asyncio.Event())
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
        stream.opened(link)
        await turn(turns)
        stream.closed(1006, "")
        stream.closed(1006, "")
        await turn(5)
        assert items.closed == 1 and b"two" not in link.written
        assert app.stats()["errors"] == 0

    run(check)


def test_a_body_that_is_not_wanted_never_begins_and_is_closed() -> None:
    async def check(app: App) -> None:
        for opened in (False, True):
            items = Items(b"one")
            stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
            stream.skip()
            if opened:
                stream.opened(link)
                assert link.closed_with == (1000, "")
                stream.closed(1000, "")
            await turn(3)
            assert (items.taken, items.closed, link.written) == (0, 1, [])

    run(check)


def test_a_generator_runs_its_finally_blocks_when_the_client_goes() -> None:
    events: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            events.append("finally")

    async def check(app: App) -> None:
        stream, link = BodyStream(app.runtime, parts()), FakeLink(BODY)
        stream.opened(link)
        await turn(2)
        stream.closed(1006, "")
        await turn(5)
        assert events == ["finally"] and link.written == [b"one"]

    run(check)


def test_it_waits_for_a_slow_client_and_stops_at_a_closed_link() -> None:
    async def check(app: App) -> None:
        items = Items(b"one", b"two", b"three")
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
        link.status, link.buffered = SendStatus.BUFFERED, 100
        stream.opened(link)
        await turn(3)
        assert link.written == [b"one"]
        link.status, link.buffered = SendStatus.SENT, 50
        link.room.set()
        await turn(1)
        assert link.written == [b"one", b"two", b"three"]
        gone = FakeLink(BODY)
        gone.close(1013)
        other = Items(b"one", b"two")
        BodyStream(app.runtime, other).opened(gone)
        await turn(3)
        assert other.taken == 1 and other.closed == 1

    run(check, limits=Limits(outgoing=100))


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

END = "id: longwave-end\nevent: longwave:end\ndata: \n\n"


def test_one_task_and_context_from_the_first_step_to_the_last() -> None:
    tasks: list[Any] = []

    async def handler(event: Event) -> AsyncIterator[str]:
        token = variable.set("generator")
        try:
            async with asyncio.timeout(10):
                for i in range(2):
                    tasks.append(asyncio.current_task())
                    yield str(i)
                    assert variable.get() == "generator"
        finally:
            tasks.append(asyncio.current_task())
            variable.reset(token)

    async def check(app: App) -> None:
        _, link, _ = await open_stream(app, "/")
        await turn(5)
        assert link.text == "data: 0\n\ndata: 1\n\n" + END
        assert len(set(tasks)) == 1 and len(tasks) == 3
        clean(app)

    run_app(make_app({"/": handler}), check)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["generator", "iterator", "iterable", "from a coroutine"])
def test_what_is_an_async_iterator(kind: str, method: str) -> None:
    class Iterable_:
        def __aiter__(self) -> AsyncIterator[Any]:
            return Items("a", EventMessage("b", event="e"))

    async def generator(event: Event) -> AsyncIterator[Any]:
        yield "a"
        yield EventMessage("b", event="e")

    async def coroutine(event: Event) -> Any:
        return generator(event)

    handlers: dict[str, Any] = {
        "generator": generator,
        "iterator": lambda event: Items("a", EventMessage("b", event="e")),
        "iterable": lambda event: Iterable_(),
        "from a coroutine": coroutine,
    }

    async def check(app: App) -> None:
        _, link, _ = await open_stream(app, "/", method=method)
        await turn(6)
        assert link.text == "data: a\n\nevent: e\ndata: b\n\n" + END

    run_app(make_app({"/": handlers[kind]}), check)


@pytest.mark.parametrize(
    "error", [HTTPError(402), KeyError("x"), asyncio.CancelledError(), Response("r", 201)]
)
@pytest.mark.parametrize("with_middleware", [False, True])
def test_an_error_before_the_first_item_is_a_status(
    error: BaseException, with_middleware: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def passing(event: Event, next: Any) -> Any:
        return await next()

    async def check(app: App) -> None:
        async with asyncio.timeout(5):
            reply = await full(app, "/")
        assert reply.status == getattr(error, "status", 500)
        await turn(3)
        assert items.closed == 1
        clean(app)

    items = Items(error)
    middleware = [Middleware(passing)] if with_middleware else []
    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/": lambda event: items}, middleware=middleware), check)
    assert len(caplog.records) == (0 if hasattr(error, "status") else 1)


@pytest.mark.parametrize("item", [KeyError("x"), asyncio.CancelledError(), b"bytes", None, object()])
def test_an_error_after_the_first_item_ends_the_stream_without_a_last_event(
    item: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(app: App) -> None:
        _, link, _ = await open_stream(app, "/")
        await turn(5)
        assert link.text == "data: one\n\n" and link.closed_with == (1000, "")
        assert items.closed == 1
        clean(app)

    items = Items("one", item, "two")
    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/": lambda event: items}), check)
    assert len(caplog.records) == (0 if isinstance(item, asyncio.CancelledError) else 1)


def test_an_error_after_the_head_that_did_not_wait_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwave.app.dispatch.FIRST_ITEM", 0.001)
    gate = asyncio.Event()

    async def handler(event: Event) -> AsyncIterator[str]:
        await gate.wait()
        if event.path:
            raise HTTPError(402, "too late")
        yield ""

    async def check(app: App) -> None:
        _, link, _ = await open_stream(app, "/")
        gate.set()
        await turn(4)
        assert link.text == "" and link.closed_with == (1000, "")
        clean(app)

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/": handler}), check)
    assert "too late" in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize("when", ["first item", "after the head", "between", "while pushing", "not opened"])
def test_the_generator_is_closed_whenever_the_client_goes(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwave.app.dispatch.FIRST_ITEM", 0.001 if when == "after the head" else 10)
    events: list[str] = []

    async def handler(event: Event) -> AsyncIterator[str]:
        try:
            if when in ("first item", "after the head"):
                await asyncio.Event().wait()
            yield "x" * 100
            yield "y" * 100
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            events.append("finally")

    async def check(app: App) -> None:
        if when == "first item":
            task = asyncio.create_task(ask(app, "/"))
            await turn(4)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        else:
            reply = await ask(app, "/")
            assert isinstance(reply, StreamReply)
            if when not in ("not opened", "while pushing"):
                stream, _, _ = await open_stream(app, "/")
                await turn(4)
                stream.closed(1006, "")
            reply.session.closed(1006, "")
        await turn(6)
        assert set(events) == {"finally"} and events
        clean(app)

    run_app(make_app({"/": handler}, limits=Limits(outgoing=50)), check)


def test_a_generator_that_goes_on_after_its_client_is_left_to_the_shutdown() -> None:
    ended = asyncio.Event()

    async def handler(event: Event) -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            await ended.wait()

    async def check(app: App) -> None:
        stream, _, _ = await open_stream(app, "/")
        await turn(3)
        stream.closed(1006, "")
        await turn(3)
        assert app.stats()["tasks"] == 1
        ended.set()
        await turn(3)
        clean(app)

    run_app(make_app({"/": handler}), check)


def test_head_and_the_id_of_the_end_run_nothing() -> None:
    async def check(app: App) -> None:
        head = await ask(app, "/", method="HEAD")
        assert isinstance(head, StreamReply) and items.closed == 1
        for options in (
            {"headers": [(b"last-event-id", b"longwave-end")]},
            {"target": "/?last_event_id=longwave-end"},
            {"target": "/?last_event_id=longwave-end", "method": "POST"},
        ):
            again = await ask(app, **options)
            assert isinstance(again, FullReply) and again.status == 204
        assert items.taken == 0

    items = Items("a")
    run_app(make_app({"/": lambda event: items}), check)


def test_a_generator_beside_a_stream_of_the_handlers_own_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    items = Items("a")

    def handler(event: Event) -> Any:
        create_event_stream(event)
        return items

    async def check(app: App) -> None:
        assert (await full(app, "/")).status == 500
        await turn(2)
        clean(app)

    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/": handler}), check)


def test_an_iterator_that_does_not_close_still_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    async def check(app: App) -> None:
        _, link, _ = await open_stream(app, "/")
        await turn(5)
        assert link.closed_with == (1000, "")
        clean(app)

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/": lambda event: Items("a", fail_to_close=True)}), check)
    assert "does not close" in caplog.text


def test_the_first_item_does_not_overtake_what_middleware_adds() -> None:
    async def adding(event: Event, next: Any) -> Any:
        response = await next()
        await turn(5)
        response.set_header("x-added", "1")
        return response

    async def handler(event: Event) -> AsyncIterator[str]:
        event.response.set_cookie("a", "b")
        yield "first"

    async def check(app: App) -> None:
        _, link, reply = await open_stream(app, "/")
        assert (b"x-added", b"1") in reply.headers
        assert [value for name, value in reply.headers if name == b"set-cookie"] == [b"a=b; Path=/"]
        await turn(3)
        assert link.text == "data: first\n\n" + END

    run_app(make_app({"/": handler}, middleware=[Middleware(adding)]), check)


def test_closing_what_cannot_be_closed_is_nothing() -> None:
    asyncio.run(close_items(object()))
