"""Requests under ASGI: replies, bodies, and clients that go."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from longwave.contract import FullReply, Reply, Request, StreamReply, UpgradeReply, failed_reply
from longwave.errors import RequestError
from longwave.limits import Limits, Timeouts
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
