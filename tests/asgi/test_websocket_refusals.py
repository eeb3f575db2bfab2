"""WebSockets under ASGI that are refused, or whose answer takes its time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.contract import FullReply, Reply, Request, StreamReply, UpgradeReply
from longwave.errors import RequestError
from tests.asgi.driver import Application, Host, Recorder, asynchronous, turns, websocket_scope
from tests.asgi.sockets import CONNECT


@asynchronous
async def test_refusal_with_a_body() -> None:
    reply = FullReply(401, [(b"www-authenticate", b"Bearer")], b"who are you?")
    host = Host(Application(lambda request: reply), websocket_scope())
    host.put(CONNECT)
    await host.finish()
    assert host.sent == [
        {
            "type": "websocket.http.response.start",
            "status": 401,
            "headers": [
                (b"www-authenticate", b"Bearer"),
                (b"content-length", b"12"),
                (b"connection", b"close"),
            ],
        },
        {"type": "websocket.http.response.body", "body": b"who are you?", "more_body": False},
    ]


@pytest.mark.parametrize("extensions", [None, {}])
@asynchronous
async def test_refusal_where_the_server_has_no_word_for_it(extensions: Any) -> None:
    host = Host(Application(lambda request: FullReply(401)), websocket_scope(extensions=extensions))
    host.put(CONNECT)
    await host.finish()
    assert [message["type"] for message in host.sent] == ["websocket.close"]


@asynchronous
async def test_refusal_that_cannot_be_read() -> None:
    def handle(request: Request) -> Reply:
        raise RequestError(400, "no")

    host = Host(Application(handle), websocket_scope())
    host.put(CONNECT)
    await host.finish()
    assert host.status == 400


@asynchronous
async def test_stream_as_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    session = Recorder()
    host = Host(Application(lambda request: StreamReply(200, [], session)), websocket_scope())
    host.put(CONNECT)
    await host.finish()
    assert (host.status, session.events) == (500, ["opened", ("closed", 1006, "")])
    assert len(caplog.records) == 1


@asynchronous
async def test_nothing_is_injected_into_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(Application(lambda request: FullReply(401, [(b"x", b"a\r\nb: c")])), websocket_scope())
    host.put(CONNECT)
    await host.finish()
    assert [message["type"] for message in host.sent] == ["websocket.close"]
    assert len(caplog.records) == 1


@asynchronous
async def test_awaited_upgrade() -> None:
    session = Recorder()
    go = asyncio.Event()

    async def handle(request: Request) -> Reply:
        await go.wait()
        return UpgradeReply(session)

    host = Host(Application(handle), websocket_scope())
    host.put(CONNECT)
    await turns()
    assert host.sent == []
    go.set()
    await turns()
    host.text("first")
    await turns()
    assert session.events == ["opened", "first"]


@asynchronous
async def test_client_that_goes_during_the_upgrade() -> None:
    ended: list[str] = []

    async def handle(request: Request) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError

    host = Host(Application(handle), websocket_scope())
    host.put(CONNECT, {"type": "websocket.disconnect", "code": 1006})
    assert await host.finish() == []
    await turns()
    assert ended == ["cancelled"]


@asynchronous
async def test_awaited_upgrade_that_cannot_be_read() -> None:
    async def handle(request: Request) -> Reply:
        raise RequestError(400, "no")

    host = Host(Application(handle), websocket_scope())
    host.put(CONNECT)
    await host.finish()
    assert host.status == 400


@asynchronous
async def test_refused_client_that_is_gone() -> None:
    host = Host(Application(lambda request: FullReply(401)), websocket_scope())
    host.failure = OSError("gone")
    host.put(CONNECT)
    assert await host.finish() == []
