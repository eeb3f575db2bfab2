from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from longwave.contract import FullReply, Reply, Request, StreamReply, UpgradeReply, failed_reply
from longwave.core.sse import BODY, sse_wire
from longwave.errors import RequestError
from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus
from tests.asgi.driver import Application, Host, Recorder, asynchronous, http_scope, turns


def answer(status: int = 200, body: bytes = b"hello", headers: Any = ()) -> Callable[[Request], Reply]:
    return lambda request: FullReply(status, list(headers), body)


@asynchronous
async def test_whole_reply_at_once() -> None:
    host = Host(Application(answer()), http_scope())
    await host.finish()
    assert host.sent == [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]},
        {"type": "http.response.body", "body": b"hello", "more_body": False},
    ]


@pytest.mark.parametrize(
    ("method", "status", "headers", "length", "content"),
    [
        ("GET", 200, [], b"5", b"hello"),
        ("GET", 200, [(b"Content-Length", b"9"), (b"transfer-encoding", b"chunked")], b"5", b"hello"),
        ("HEAD", 200, [], b"5", b""),
        ("GET", 204, [], None, b""),
        ("GET", 204, [(b"content-length", b"9")], None, b""),
        ("GET", 304, [(b"content-length", b"9")], b"9", b""),
    ],
)
@asynchronous
async def test_framing(method: str, status: int, headers: Any, length: bytes | None, content: bytes) -> None:
    host = Host(Application(answer(status, headers=headers)), http_scope(method))
    await host.finish()
    assert (host.status, host.headers.get(b"content-length"), host.content) == (status, length, content)
    assert b"transfer-encoding" not in host.headers


@asynchronous
async def test_head_keeps_the_length_that_the_handler_knows() -> None:
    host = Host(Application(answer(200, b"", [(b"content-length", b"77")])), http_scope("HEAD"))
    await host.finish()
    assert host.headers[b"content-length"] == b"77"


@pytest.mark.parametrize("field", [(b"x", b"a\r\nb: c"), (b"x\n", b"a"), (b"x", b"\x00")])
@asynchronous
async def test_nothing_is_injected(field: Any, caplog: pytest.LogCaptureFixture) -> None:
    host = Host(Application(answer(200, b"secret", [field])), http_scope())
    await host.finish()
    assert (host.status, host.content) == (500, failed_reply().body)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@asynchronous
async def test_injection_in_the_head_of_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    session = Recorder()
    host = Host(Application(lambda request: StreamReply(200, [(b"x", b"\n")], session)), http_scope())
    await host.finish()
    assert (host.status, session.events) == (500, ["opened", ("closed", 1006, "")])
    assert len(caplog.records) == 1


async def read_body(request: Request) -> Reply:
    assert request.body is not None
    return FullReply(200, [], await request.body.read())


@asynchronous
async def test_body_in_pieces() -> None:
    host = Host(Application(read_body), http_scope("POST"))
    host.body(b"one ", more=True)
    await turns()
    host.body(b"two", more=True)
    host.body(b"", more=False)
    await host.finish()
    assert host.content == b"one two"


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"11")]])
@asynchronous
async def test_body_too_big(headers: Any) -> None:
    async def handle(request: Request) -> Reply:
        try:
            return await read_body(request)
        except RequestError as error:
            return FullReply(error.status)

    host = Host(Application(handle), http_scope("POST", headers=headers), limits=Limits(body=10))
    host.body(b"12345678", more=True)
    host.body(b"901", more=True)
    await host.finish()
    assert (host.status, host.headers[b"connection"]) == (413, b"close")
    assert host.app.stats()["limits.body"] == 1


@asynchronous
async def test_error_of_the_body_that_nobody_caught() -> None:
    host = Host(Application(read_body), http_scope("POST"), limits=Limits(body=3))
    host.body(b"1234")
    await host.finish()
    assert host.status == 413
    assert b'"status": 413' in host.content


@asynchronous
async def test_body_that_stops_coming() -> None:
    host = Host(Application(read_body), http_scope("POST"), timeouts=Timeouts(body=0.01))
    host.body(b"1", more=True)
    await host.finish()
    assert host.status == 408
    assert host.app.stats()["timeouts.body"] == 1


@asynchronous
async def test_body_that_came_while_the_loop_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwave.asgi.state.LATE", 0.01)
    host = Host(Application(read_body), http_scope("POST"), timeouts=Timeouts(body=0.05))
    host.body(b"1", more=True)
    await turns()
    time.sleep(0.1)  # noqa: ASYNC251, it is to stand still
    # The time-out is due in the same turn in which the loop hears what came.
    asyncio.get_running_loop().call_soon(host.body, b"2")
    await host.finish()
    assert (host.status, host.content) == (200, b"12")


@asynchronous
async def test_client_that_goes_in_the_middle_of_its_body() -> None:
    errors: list[RequestError] = []

    async def handle(request: Request) -> Reply:
        # Read in a task of its own: nothing cancels it.
        reading = asyncio.ensure_future(read_body(request))
        await asyncio.wait({reading})
        error = reading.exception()
        assert isinstance(error, RequestError)
        errors.append(error)
        raise error

    host = Host(Application(handle), http_scope("POST", headers=[(b"expect", b"100-continue")]))
    host.body(b"1", more=True)
    host.put({"type": "http.disconnect"})
    await host.finish()
    assert [error.status for error in errors] == [400]


@asynchronous
async def test_client_that_went_before_the_stream_was_ready() -> None:
    session = Recorder()

    async def handle(request: Request) -> Reply:
        assert request.body is not None
        try:
            await request.body.read()
        except RequestError:
            return StreamReply(200, [], session)
        raise AssertionError

    host = Host(Application(handle), http_scope("POST", headers=[(b"expect", b"100-continue")]))
    host.put({"type": "http.disconnect"})
    await host.finish()
    assert session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_receive_that_fails_is_a_client_that_is_gone() -> None:
    async def handle(request: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    host = Host(Application(handle), http_scope())
    host.lost = True
    host.body()
    assert await host.finish() == []


@asynchronous
async def test_unread_body_is_held_up_to_a_bound() -> None:
    go = asyncio.Event()

    async def handle(request: Request) -> Reply:
        await go.wait()
        return await read_body(request)

    host = Host(Application(handle), http_scope("POST"))
    for _ in range(100):
        host.body(b"x" * 10_000, more=True)
    host.body()
    await turns()
    assert 90 <= host.inbox.qsize() <= 95
    go.set()
    await host.finish()
    assert host.content == b"x" * 1_000_000


@asynchronous
async def test_handler_is_cancelled_when_the_client_goes() -> None:
    ended: list[str] = []

    async def handle(request: Request) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError

    host = Host(Application(handle), http_scope())
    host.body()
    await turns()
    assert ended == []
    host.put({"type": "http.disconnect"})
    assert await host.finish() == []
    assert ended == ["cancelled"]


@asynchronous
async def test_cancelling_the_server_cancels_the_handler() -> None:
    ended: list[str] = []

    async def handle(request: Request) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError

    host = Host(Application(handle), http_scope())
    await turns()
    host.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await host.task
    assert ended == ["cancelled"]


@asynchronous
async def test_expect_continue_is_not_answered_for_a_handler_that_reads_nothing() -> None:
    async def handle(request: Request) -> Reply:
        await turns()
        return FullReply(401)

    host = Host(Application(handle), http_scope("POST", headers=[(b"expect", b"100-continue")]))
    host.body(b"never asked for")
    await host.finish()
    assert (host.status, host.inbox.qsize()) == (401, 1)


@asynchronous
async def test_upgrade_of_a_plain_request_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(Application(lambda request: UpgradeReply(Recorder())), http_scope())
    await host.finish()
    assert host.status == 500
    assert len(caplog.records) == 1


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
