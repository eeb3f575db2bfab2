"""An open event stream in use: pauses, slow clients, callbacks, topics, threads, and what is left of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.event_stream import EventStream, create_event_stream
from longwave.app.hooks import define_websocket_handler
from longwave.errors import LimitError
from longwave.limits import Limits
from longwave.types import SendStatus
from tests.app.harness import clean, make_app, open_stream, run_app, turn


def plain(event: Event) -> EventStream:
    return create_event_stream(event)


def test_a_paused_stream_sends_nothing_but_signs_of_life() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app, "/sse")
        stream.subscribe("room")
        stream.pause()
        await stream.push("1")
        app.publish("room", "2")
        await turn(2)
        await stream.push("3")
        assert link.text == ""
        stream.beat(1)
        assert link.text == ": \n\n"
        stream.flush()
        assert stream.is_paused and link.text == ": \n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"
        await stream.push("4")
        assert "4" not in link.text
        stream.resume()
        assert link.text.endswith("data: 3\n\ndata: 4\n\n")
        stream.pause()
        for _ in range(3):
            app.publish("room", "y" * 100)
            await turn(2)
        assert link.closed_with == (1000, "") and link.text.count("y" * 100) == 2

    run_app(make_app({"/sse": plain}, limits=Limits(outgoing=150)), check)


def test_a_push_that_waits_ends_with_the_stream_and_with_its_task() -> None:
    async def check(app: App) -> None:
        for end in ("resume", "close", "closed", "cancel"):
            stream, link, _ = await open_stream(app, "/sse")
            stream.pause()
            await stream.push("x" * 100)
            waiting = [asyncio.create_task(stream.push(str(i))) for i in range(3)]
            await turn(3)
            assert not any(task.done() for task in waiting)
            if end == "cancel":
                waiting[1].cancel()
                await turn(2)
                stream.resume()
            elif end == "resume":
                stream.resume()
            elif end == "close":
                await stream.close()
            else:
                stream.closed(1006, "")
            results = await asyncio.gather(*waiting, return_exceptions=True)
            if end == "resume":
                assert results == [True] * 3 and link.text.endswith("data: 0\n\ndata: 1\n\ndata: 2\n\n")
            elif end == "cancel":
                assert isinstance(results[1], asyncio.CancelledError)
                assert link.text.endswith("data: 0\n\ndata: 2\n\n")
            else:
                assert results == [False] * 3
            stream.closed(1006, "")
        await turn(2)
        clean(app)

    run_app(make_app({"/sse": plain}, limits=Limits(outgoing=50)), check)


def test_a_slow_clients_push_is_cancelled_or_ended() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app, "/sse")
        link.status, link.buffered = SendStatus.BUFFERED, 1 << 30
        waiting = asyncio.create_task(stream.push("x"))
        await turn(2)
        waiting.cancel()
        await turn(2)
        assert waiting.cancelled()
        link.status = SendStatus.CLOSED
        assert await stream.push("y")

    run_app(make_app({"/sse": plain}), check)


def test_silence_is_not_broken_while_the_client_has_something_to_take() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app, "/sse")
        link.buffered = 10
        stream.beat(1)
        assert link.text == ""
        link.buffered = 0
        stream.beat(1)
        assert link.text == ": \n\n"

    run_app(make_app({"/sse": plain}), check)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_that_cancels_itself_stops_no_other(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def check(app: App) -> None:
        stream, _, _ = await open_stream(app, "/sse")
        interval = asyncio.create_task(asyncio.sleep(10))

        async def later() -> None:
            interval.cancel()
            await interval

        def now() -> None:
            raise asyncio.CancelledError

        stream.on_closed(later if is_async else now)
        stream.on_closed(lambda: seen.append("next"))
        stream.closed(1006, "")
        await turn(4)
        interval.cancel()
        assert seen == ["next"]

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/sse": plain}), check)
    assert "on_closed of the stream /sse failed" in caplog.text


def test_a_late_callback_waits_for_its_turn() -> None:
    seen: list[str] = []
    gate = asyncio.Event()

    async def check(app: App) -> None:
        stream, _, _ = await open_stream(app, "/sse")

        @stream.on_closed
        async def slow() -> None:
            stream.on_closed(lambda: seen.append("from inside"))
            await gate.wait()
            seen.append("slow")

        await stream.close()
        await turn(2)
        stream.on_closed(lambda: seen.append("late"))
        await asyncio.to_thread(stream.on_closed, lambda: seen.append("from a thread"))
        await turn(3)
        assert seen == []
        gate.set()
        await turn(3)
        assert seen == ["slow", "from inside", "late", "from a thread"]
        stream.on_closed(lambda: seen.append("last"))
        await turn(3)
        assert seen[-1] == "last"

    run_app(make_app({"/sse": plain}), check)


def test_nothing_can_be_started_on_a_stream_that_has_ended() -> None:
    async def work() -> None: ...

    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app, "/sse")
        stream.closed(1006, "")
        with pytest.raises(RuntimeError, match="the connection is closed"):
            stream.spawn(work())
        with pytest.raises(RuntimeError, match="the connection is closed"):
            stream.every(1, work)
        await stream.subscribe("room")
        stream.unsubscribe("room")
        stream.pause()
        stream.resume()
        stream.flush()
        await stream.close()
        assert not await stream.push("x") and not await stream.push_comment("x")
        await stream.wait_closed()
        stream.deliver(b"x")
        assert link.written == [] and link.closed_with is None
        clean(app)

    run_app(make_app({"/sse": plain}), check)


def test_event_types_of_topics_come_and_go() -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app, "/sse")
        stream.subscribe("a", event="first")
        stream.subscribe("b")
        for topic in "ab":
            app.publish(topic, topic)
        stream.subscribe("b", event="second")
        app.publish("b", "b")
        stream.unsubscribe("a")
        stream.subscribe("a")
        app.publish("a", "a")
        await turn(2)
        assert link.text == ("event: first\ndata: a\n\ndata: b\n\nevent: second\ndata: b\n\ndata: a\n\n")
        for bad in ("a\nb", "\0"):
            with pytest.raises(ValueError):
                stream.subscribe("c", event=bad)
        with pytest.raises(LimitError):
            stream.subscribe("c", event="third")
        app.publish("c", "c")
        await turn(2)
        assert "third" not in link.text

    run_app(make_app({"/sse": plain}, limits=Limits(topics_per_peer=2)), check)


def test_a_stream_takes_back_what_it_subscribed_by_a_handler() -> None:
    chat = define_websocket_handler()

    async def check(app: App) -> None:
        stream, _, _ = await open_stream(app, "/sse")
        stream.subscribe("room", of=chat)
        assert app.runtime.hub.namespaces("room") == ["/ws"]
        stream.unsubscribe("room", of=chat)
        assert app.stats()["topics"] == 0
        with pytest.raises(LookupError):
            stream.subscribe("room", of=define_websocket_handler())

    run_app(make_app({"/sse": plain, "/ws": chat}), check)


def test_an_error_of_a_subscription_from_a_thread_reaches_who_awaits_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check(app: App) -> None:
        stream, link, _ = await open_stream(app, "/sse")

        async def elsewhere() -> None:
            await stream.subscribe("a")
            with pytest.raises(LimitError):
                await stream.subscribe("b")
            stream.unsubscribe("a")
            await stream.subscribe("c", event="x")
            with pytest.raises(ValueError):
                stream.subscribe("c", event="x\n")
            app.publish("c", "1")
            assert await stream.push("2")
            await stream.close()
            await stream.wait_closed()
            assert not await stream.push("3")

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        assert link.text == "event: x\ndata: 1\n\ndata: 2\n\n"

    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/sse": plain}, limits=Limits(topics_per_peer=1)), check)


def test_after_the_loop_is_closed_a_stream_is_closed_for_threads() -> None:
    made: list[EventStream] = []

    async def check(app: App) -> None:
        stream, _, _ = await open_stream(app, "/sse")
        made.append(stream)

    run_app(make_app({"/sse": plain}), check)
    # One that nobody told of its end, as when the process of a test is torn down.
    made[0]._closed = False
    results: list[Any] = []

    def work() -> None:
        stream = made[0]
        try:
            results.append(asyncio.run(stream.push("x")))
            asyncio.run(stream.close())
            stream.pause()
            stream.on_closed(lambda: None)
            stream.unsubscribe("a")
            asyncio.run(stream.wait_closed())
            results.append("done")
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert results == [False, "done"]
