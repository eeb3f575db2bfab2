from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave.contract import Link, Reply, Request, StreamReply, UpgradeReply
from longwave.limits import Limits
from longwave.testing import ConnectionClosed, EventConnection, TestClient, WebSocketConnection
from longwave.types import SendStatus, SlowPolicy
from tests.asgi.driver import Application, Recorder, asynchronous, turns


@contextlib.asynccontextmanager
async def socket(
    session: Recorder, limits: Limits | None = None, policy: SlowPolicy = SlowPolicy.CLOSE, **options: Any
) -> AsyncIterator[WebSocketConnection]:
    reply = UpgradeReply(session, [(b"set-cookie", b"seen=1")], options.pop("protocol", None), policy)
    async with TestClient(Application(lambda request: reply), limits=limits) as client:
        async with client.websocket("/chat", **options) as ws:
            yield ws


@contextlib.asynccontextmanager
async def stream(session: Recorder, limits: Limits | None = None) -> AsyncIterator[EventConnection]:
    reply = StreamReply(200, [(b"x", b"1")], session)
    async with TestClient(Application(lambda request: reply), limits=limits) as client:
        async with client.events("/clock") as it:
            yield it


def echo(link: Link, data: str | bytes) -> None:
    link.write(link.wire.frame(data.encode() if isinstance(data, str) else data, isinstance(data, str)))


@asynchronous
async def test_handshake() -> None:
    requests: list[Request] = []

    def handle(request: Request) -> Reply:
        requests.append(request)
        return UpgradeReply(Recorder(), [(b"x", b"1")], "b")

    async with TestClient(Application(handle)) as client:
        async with client.websocket(
            "/chat", protocols=("a", "b"), params={"x": 1}, headers={"origin": "o"}
        ) as ws:
            assert (ws.protocol, ws.headers["x"], ws.close_code) == ("b", "1", None)
    (request,) = requests
    assert (request.is_upgrade, request.body, request.target) == (True, None, b"/chat?x=1")
    assert request.header(b"sec-websocket-protocol") == b"a, b"
    assert request.header(b"upgrade") == b"websocket"
    assert request.header(b"origin") == b"o"


@asynchronous
async def test_messages() -> None:
    async with socket(Recorder(echo)) as ws:
        await ws.send("text")
        await ws.send(b"\x00\xff")
        await ws.send_json({"a": [1]})
        assert await ws.receive() == "text"
        assert await ws.receive() == b"\x00\xff"
        assert await ws.receive_json() == {"a": [1]}
        await ws.send_json({"a": 1})
        assert await ws.receive_json(dict[str, int]) == {"a": 1}


@asynchronous
async def test_close_by_the_client() -> None:
    session = Recorder()
    async with socket(session) as ws:
        await ws.close(4000, "bye")
        assert (ws.close_code, ws.close_reason) == (4000, "bye")
        with pytest.raises(ConnectionClosed, match="the WebSocket /chat is closed: 4000 bye") as closed:
            await ws.receive()
        assert (closed.value.code, closed.value.reason) == (4000, "bye")
        with pytest.raises(ConnectionClosed):
            await ws.send("late")
    assert session.events == ["opened", ("closed", 4000, "bye")]


@pytest.mark.parametrize("how", ["no code", "abort", "end of the block"])
@asynchronous
async def test_other_ends(how: str) -> None:
    session = Recorder()
    async with socket(session) as ws:
        if how == "no code":
            await ws.close(None)
        elif how == "abort":
            await ws.abort()
    code = {"no code": 1005, "abort": 1006, "end of the block": 1000}[how]
    assert session.events == ["opened", ("closed", code, "")]


@asynchronous
async def test_close_by_the_application() -> None:
    session = Recorder()
    async with socket(session) as ws:
        session.text("last")
        session.link.close(4001, "enough")
        assert session.events == ["opened"]  # never from inside a call of its own
        assert session.text("late") is SendStatus.CLOSED
        assert [message async for message in ws] == ["last"]
        assert await ws.wait_closed() == 4001
    assert session.events == ["opened", ("closed", 4001, "enough")]


@asynchronous
async def test_wait_closed_throws_away_what_comes() -> None:
    session = Recorder()
    async with socket(session) as ws:
        waiting = asyncio.ensure_future(ws.wait_closed())
        session.text("one")
        await turns()
        session.link.close(4001)
        assert await waiting == 4001


@asynchronous
async def test_time_limit_shows_what_had_come() -> None:
    session = Recorder()
    async with socket(session) as ws:
        with pytest.raises(
            TimeoutError, match=r"/chat: no message came within 0.01 s; no message had come before"
        ):
            await ws.receive(timeout=0.01)
        for number in range(7):
            session.text(str(number))
            await ws.receive()
        with pytest.raises(TimeoutError, match="7 had come before, the last 5: '2', '3', '4', '5', '6'"):
            await ws.receive(timeout=0.01)
        with pytest.raises(TimeoutError, match="was not closed within"):
            await ws.wait_closed(timeout=0.01)


@asynchronous
async def test_pings() -> None:
    session = Recorder()
    async with socket(session) as ws:
        await ws.ping(b"a")
        session.link.ping(b"b")
        await turns()
        assert session.events == ["opened", ("ping", b"a"), ("pong", b"b")]
        ws.answer_pings = False
        session.link.ping(b"c")
        await turns()
        assert (ws.pings, len(session.events), ws.answer_pings) == ([b"b", b"c"], 3, False)
        with pytest.raises(ValueError, match="at most 125"):
            session.link.ping(b"x" * 126)


@asynchronous
async def test_pause_and_resume() -> None:
    session = Recorder()
    async with socket(session, timeout=0.01) as ws:
        session.link.pause()
        with pytest.raises(TimeoutError, match=r"the application read no message for 0.01 s; 1 wait"):
            await ws.send("one")
        sending = asyncio.ensure_future(ws.send("two"))
        await turns()
        assert session.events == ["opened"]
        session.link.resume()
        await sending
        assert session.events == ["opened", "one", "two"]


@asynchronous
async def test_close_while_the_application_does_not_read() -> None:
    session = Recorder()
    async with socket(session) as ws:
        session.link.pause()
        await ws.close()
        assert ws.close_code == 1006
    assert session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_the_test_is_the_slow_client() -> None:
    session = Recorder(echo)
    async with socket(session, Limits(outgoing=1000)) as ws:
        statuses = [session.text("x" * 100) for _ in range(10)]
        assert statuses == [SendStatus.SENT] * 5 + [SendStatus.BUFFERED] * 5
        assert session.link.buffered == 1000
        drained = asyncio.ensure_future(session.link.drained(100))
        sending = asyncio.ensure_future(ws.send("held back"))
        await turns()
        assert not drained.done() and not sending.done()
        assert [await ws.receive() for _ in range(10)] == ["x" * 100] * 10
        await drained
        await sending
        assert await ws.receive() == "held back"
        assert session.events == ["opened", "held back", "drained"]


@asynchronous
async def test_too_slow_is_closed() -> None:
    session = Recorder()
    async with socket(session, Limits(outgoing=100)) as ws:
        session.text("x" * 100)
        assert session.text("y") is SendStatus.CLOSED
        assert await ws.wait_closed() == 1013
    assert session.events == ["opened", ("closed", 1013, "too slow")]


@asynchronous
async def test_too_slow_with_a_policy() -> None:
    session = Recorder()
    async with socket(session, Limits(outgoing=100), SlowPolicy.DROP_OLD) as ws:
        for data in "abc":
            session.text(data * 100)
        assert (await ws.receive()) == "c" * 100


@asynchronous
async def test_message_too_big() -> None:
    session = Recorder()
    async with socket(session, Limits(message=10)) as ws:
        await ws.send("x" * 10)
        await ws.send("ü" * 6)
        assert await ws.wait_closed() == 1009
    assert session.events[1] == "x" * 10 and len(session.events) == 3


@asynchronous
async def test_event_stream() -> None:
    session = Recorder()
    async with stream(session) as events:
        assert (events.status, events.headers["x"], events.ended) == (200, "1", False)
        session.link.write(b": beat\n\nid: 7\nevent: tick\nretry: 10\nda")
        assert (events.comments, events.last_event_id, events.retry) == (["beat"], "7", 10)
        session.link.write(b'ta: {"a": 1}\n\ndata: two\n\n')
        first = await events.receive()
        assert (first.id, first.event, first.retry, first.json()) == ("7", "tick", 10, {"a": 1})
        session.text("three")
        session.link.close()
        assert [event.data async for event in events] == ["two", "three"]
        assert events.ended
        with pytest.raises(ConnectionClosed, match="the stream /clock is closed: 1000"):
            await events.receive()
    assert session.events == ["opened", ("closed", 1000, "")]


@asynchronous
async def test_leaving_an_event_stream() -> None:
    session = Recorder()
    async with stream(session):
        pass
    assert session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_time_limit_of_events() -> None:
    session = Recorder()
    async with stream(session) as events:
        session.link.write(b"data: one\n\n: beat\n\n")
        await events.receive()
        with pytest.raises(
            TimeoutError, match=r"/clock: no event came .*; 1 had come before: 'one'; 1 comments"
        ):
            await events.receive(timeout=0.01)
        with pytest.raises(TimeoutError):
            await events.receive_json(timeout=0.01)


@asynchronous
async def test_request_of_an_event_stream() -> None:
    requests: list[Request] = []

    def handle(request: Request) -> Reply:
        requests.append(request)
        return StreamReply(200, [], Recorder())

    async with TestClient(Application(handle)) as client:
        async with client.events("/x", last_event_id="7", method="POST", json={"a": 1}):
            pass
    (request,) = requests
    assert (request.method, request.header(b"accept")) == ("POST", b"text/event-stream")
    assert request.header(b"last-event-id") == b"7"
    assert request.body is not None
    assert await request.body.read() == b'{"a":1}'
