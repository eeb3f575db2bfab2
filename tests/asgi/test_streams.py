"""Streams under ASGI: their end, clients that are slow, and what was left unread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.contract import Reply, Request, StreamReply
from longwave.core.sse import BODY, sse_wire
from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus
from tests.asgi.driver import Application, Host, Recorder, asynchronous, http_scope, turns


class Streaming:
    """A host whose application answers with one stream."""

    def __init__(
        self,
        method: str = "GET",
        *,
        format: Any = "sse",
        status: int = 200,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.session = Recorder()
        self.reply = StreamReply(status, [(b"content-type", b"text/event-stream")], self.session, format)
        application = Application(lambda request: self.reply)
        self.host = Host(application, http_scope(method), limits=limits, timeouts=timeouts)
        self.host.body()


@asynchronous
async def test_stream() -> None:
    streaming = Streaming()
    await turns()
    host, session = streaming.host, streaming.session
    assert session.events == ["opened"]
    assert session.link.wire is sse_wire(False)
    # The head is on its way although nothing was written: an empty body message makes servers send it.
    assert [message["type"] for message in host.sent] == ["http.response.start", "http.response.body"]
    assert b"content-length" not in host.headers
    assert session.text("one") is SendStatus.SENT
    assert session.text("two") is SendStatus.SENT
    await turns()
    # What was written together is one message.
    assert host.sent[2:] == [
        {"type": "http.response.body", "body": b"data: one\n\ndata: two\n\n", "more_body": True}
    ]
    session.text("three")
    session.link.close()
    assert session.text("late") is SendStatus.CLOSED
    await host.finish()
    assert host.content == b"data: one\n\ndata: two\n\ndata: three\n\n"
    assert host.sent[-1]["more_body"] is False
    assert session.events == ["opened", ("closed", 1000, "")]


@asynchronous
async def test_body_stream() -> None:
    streaming = Streaming(format="body")
    await turns()
    assert streaming.session.link.wire is BODY
    streaming.session.bytes(b"\x00\x01")
    streaming.session.link.close()
    await streaming.host.finish()
    assert streaming.host.content == b"\x00\x01"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
@asynchronous
async def test_stream_without_a_body(method: str, status: int) -> None:
    streaming = Streaming(method, status=status)
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1000, "")]
    assert streaming.session.text("nobody") is SendStatus.CLOSED
    assert streaming.host.content == b""
    assert streaming.host.sent[-1]["more_body"] is False


@asynchronous
async def test_client_that_goes_is_noticed_while_the_producer_is_idle() -> None:
    streaming = Streaming()
    await turns()
    streaming.host.put({"type": "http.disconnect"})
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1006, "")]
    assert streaming.session.text("late") is SendStatus.CLOSED


@asynchronous
async def test_client_that_went_before_the_head() -> None:
    streaming = Streaming()
    streaming.host.failure = OSError("gone")
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_server_that_refuses_the_head() -> None:
    streaming = Streaming()
    streaming.host.failure = RuntimeError("no such header")
    with pytest.raises(RuntimeError, match="no such header"):
        await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_send_that_fails_ends_the_stream() -> None:
    streaming = Streaming()
    await turns()
    streaming.host.failure = OSError("gone")
    streaming.session.text("x")
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_abort_leaves_the_body_unfinished() -> None:
    streaming = Streaming()
    await turns()
    streaming.session.link.abort()
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1006, "")]
    assert streaming.host.sent[-1]["more_body"] is True


@pytest.mark.parametrize(("format", "ends", "code"), [("sse", True, 1001), ("body", False, 1006)])
@asynchronous
async def test_server_that_stops_ends_event_streams_in_order(format: Any, ends: bool, code: int) -> None:
    streaming = Streaming(format=format)
    await turns()
    streaming.session.text("x")
    await turns()
    streaming.host.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await streaming.host.task
    # Bytes that stop early must not look like all of them.
    assert streaming.host.sent[-1]["more_body"] is not ends
    assert streaming.session.events == ["opened", ("closed", code, "")]


@asynchronous
async def test_server_that_stops_while_something_waits_cuts() -> None:
    streaming = Streaming()
    await turns()
    streaming.host.open.clear()
    streaming.session.text("x")
    await turns()
    streaming.host.task.cancel()
    streaming.host.open.set()
    with pytest.raises(asyncio.CancelledError):
        await streaming.host.task
    assert streaming.host.sent[-1]["more_body"] is True
    assert streaming.session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_rest_of_the_request_body_does_not_stop_a_stream() -> None:
    streaming = Streaming(limits=Limits(body=10))
    await turns()
    for _ in range(5):
        streaming.host.body(b"x" * 70_000, more=True)
    streaming.host.put({"type": "http.disconnect"})
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_rest_of_a_body_that_filled_the_buffer_is_thrown_away() -> None:
    session = Recorder()
    go = asyncio.Event()

    async def handle(request: Request) -> Reply:
        await go.wait()
        return StreamReply(200, [], session)

    host = Host(Application(handle), http_scope("POST"))
    for _ in range(5):
        host.body(b"x" * 70_000, more=True)
    await turns()
    assert host.inbox.qsize() == 4
    go.set()
    await turns()
    host.put({"type": "http.disconnect"})
    await host.finish()
    assert session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_close_lets_everyone_go_on() -> None:
    streaming = Streaming()
    await turns()
    streaming.host.open.clear()
    streaming.session.text("x")
    link = streaming.session.link
    waiting = asyncio.ensure_future(link.drained())
    await turns()
    link.close()
    await turns()
    assert waiting.done()
    await link.drained()
    streaming.host.open.set()
    await streaming.host.finish()


@asynchronous
async def test_slow_client() -> None:
    streaming = Streaming(format="body", limits=Limits(outgoing=1000))
    await turns()
    host, session = streaming.host, streaming.session
    host.open.clear()
    statuses = [session.bytes(b"x" * 100) for _ in range(5)]
    await turns()
    statuses += [session.bytes(b"x" * 100) for _ in range(5)]
    assert statuses == [SendStatus.SENT] * 5 + [SendStatus.BUFFERED] * 5
    assert session.link.buffered == 1000
    drained = asyncio.ensure_future(session.link.drained(400))
    await turns()
    assert (drained.done(), session.events) == (False, ["opened"])
    host.open.set()
    await turns()
    assert drained.done()
    assert session.events == ["opened", "drained"]
    assert session.link.buffered == 0
    assert host.content == b"x" * 1000


@asynchronous
async def test_stream_over_its_bound_ends() -> None:
    streaming = Streaming(format="body", limits=Limits(outgoing=1000))
    await turns()
    host, session = streaming.host, streaming.session
    host.open.clear()
    session.bytes(b"a" * 600)
    await turns()
    waiting = asyncio.ensure_future(session.link.drained())
    assert session.bytes(b"b" * 600) is SendStatus.BUFFERED
    assert session.bytes(b"c" * 600) is SendStatus.CLOSED
    host.open.set()
    await host.finish()
    await waiting
    # What the network had already is whole; what waited is gone, and the end is an orderly one.
    assert host.content == b"a" * 600
    assert session.events == ["opened", ("closed", 1013, "too slow")]
    assert host.app.stats()["limits.outgoing"] == 1


@asynchronous
async def test_end_of_a_stream_is_told_before_a_slow_client_has_it() -> None:
    """Else it would go on to listen to its topics until then."""
    streaming = Streaming()
    await turns()
    streaming.host.open.clear()
    streaming.session.text("stuck")
    await turns()
    streaming.session.link.close(1000, "done")
    assert streaming.session.events == ["opened"], "not inside of its own call"
    await turns()
    assert streaming.session.events == ["opened", ("closed", 1000, "done")]
    streaming.host.open.set()
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1000, "done")]


@asynchronous
async def test_client_that_takes_nothing_is_cut() -> None:
    streaming = Streaming(timeouts=Timeouts(response=0.01))
    await turns()
    streaming.host.open.clear()
    streaming.session.text("x")
    await streaming.host.finish()
    assert streaming.session.events == ["opened", ("closed", 1006, "")]
    assert streaming.host.app.stats()["timeouts.response"] == 1
