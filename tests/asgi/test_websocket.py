"""WebSockets under ASGI: messages, the end, and what a server may do wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.asgi.websocket import WebSocketLink
from longwave.asgi.wire import ASGI_WS
from longwave.contract import Link
from longwave.limits import Timeouts
from longwave.types import SendStatus
from tests.asgi.driver import Recorder, asynchronous, turns
from tests.asgi.sockets import Socket, echo


@asynchronous
async def test_accept() -> None:
    socket = await Socket(headers=[(b"X-One", b"1")], protocol="chat.v1").open()
    assert socket.host.sent == [
        {"type": "websocket.accept", "subprotocol": "chat.v1", "headers": [(b"x-one", b"1")]}
    ]
    assert socket.events == ["opened"]
    assert socket.session.link.wire is ASGI_WS


@asynchronous
async def test_messages_both_ways_in_order() -> None:
    socket = await Socket(Recorder(echo)).open()
    for number in range(1000):
        socket.host.text(str(number))
    socket.host.put({"type": "websocket.receive", "bytes": b"\x00\xff", "text": None})
    await turns(200)
    assert socket.messages == [*map(str, range(1000)), b"\x00\xff"]
    assert socket.events[1:] == socket.messages


@asynchronous
async def test_writes_from_elsewhere() -> None:
    socket = await Socket().open()
    for number in range(10):
        assert socket.session.text(str(number)) is SendStatus.SENT
    joined = ASGI_WS.join([ASGI_WS.frame(b"10", True), ASGI_WS.frame(b"\xff", False)])
    socket.session.link.write(joined)
    assert socket.session.link.buffered == 13
    await turns()
    assert socket.messages == [*map(str, range(11)), b"\xff"]
    assert socket.session.link.buffered == 0


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ({"code": 1000, "reason": "done"}, 1000, "done"),
        ({"code": 4001}, 4001, ""),
        ({"code": 1005, "reason": ""}, 1005, ""),
        ({"code": 1005, "reason": None}, 1005, ""),
        # uvicorn for a connection that was lost; the specification for one that said nothing.
        ({"code": 1005}, 1006, ""),
        ({"code": 1006, "reason": ""}, 1006, ""),
        ({"reason": ""}, 1005, ""),
    ],
)
@asynchronous
async def test_close_by_the_client(message: dict[str, Any], code: int, reason: str) -> None:
    socket = await Socket().open()
    socket.host.put({"type": "websocket.disconnect", **message})
    await socket.host.finish()
    assert socket.events == ["opened", ("closed", code, reason)]
    assert socket.session.text("late") is SendStatus.CLOSED


@asynchronous
async def test_close_by_us() -> None:
    socket = await Socket().open()
    socket.session.text("last")
    socket.session.link.close(4000, "bye")
    socket.session.link.close(4001, "no more")
    assert socket.session.text("late") is SendStatus.CLOSED
    await turns()
    assert socket.host.sent[1:] == [
        {"type": "websocket.send", "text": "last"},
        {"type": "websocket.close", "code": 4000, "reason": "bye"},
    ]
    # The session hears of the end when the client has answered; what it still sends is not heard.
    assert socket.events == ["opened"]
    socket.host.text("ignored")
    await socket.disconnect(4000)
    assert socket.events == ["opened", ("closed", 4000, "bye")]


@asynchronous
async def test_close_is_said_once() -> None:
    socket = await Socket().open()
    socket.session.link.close()  # a task is on its way to send it, and so is the one that reads
    assert isinstance(socket.session.link, WebSocketLink)
    await socket.session.link.flush()
    await turns()
    assert [message["type"] for message in socket.host.sent] == ["websocket.accept", "websocket.close"]


@asynchronous
async def test_close_inside_a_message() -> None:
    socket = await Socket(Recorder(lambda link, data: link.close(1000, ""))).open()
    socket.host.text("one")
    socket.host.text("two")
    await turns()
    assert socket.events == ["opened", "one"]
    assert socket.host.sent[-1]["type"] == "websocket.close"
    await socket.disconnect()
    assert socket.events == ["opened", "one", ("closed", 1000, "")]


@asynchronous
async def test_close_that_is_not_answered() -> None:
    socket = await Socket(timeouts=Timeouts(close=0.01)).open()
    socket.session.link.close(4000, "bye")
    await socket.host.finish()
    assert socket.events == ["opened", ("closed", 4000, "bye")]
    assert socket.host.app.stats()["timeouts.close"] == 1


@asynchronous
async def test_close_while_the_client_takes_nothing() -> None:
    socket = await Socket(timeouts=Timeouts(close=0.01)).open()
    socket.host.open.clear()
    socket.session.text("stuck")
    await turns()
    socket.session.link.close()
    await socket.host.finish()
    assert socket.messages == []
    assert socket.events == ["opened", ("closed", 1000, "")]


@asynchronous
async def test_abort() -> None:
    socket = await Socket().open()
    socket.session.link.abort()
    await socket.host.finish()
    assert socket.events == ["opened", ("closed", 1006, "")]
    assert [message["type"] for message in socket.host.sent] == ["websocket.accept"]


@asynchronous
async def test_session_that_raises_is_closed_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    def fail(link: Link, data: str | bytes) -> None:
        raise ZeroDivisionError

    socket = await Socket(Recorder(fail)).open()
    socket.host.text("x")
    await turns()
    assert socket.host.sent[-1]["code"] == 1011
    await socket.disconnect()
    assert socket.events[-1] == ("closed", 1011, "internal error")
    assert len(caplog.records) == 1


@asynchronous
async def test_send_that_fails() -> None:
    socket = await Socket(Recorder(echo)).open()
    socket.host.failure = OSError("gone")
    socket.host.text("x")
    await socket.host.finish()
    assert socket.events == ["opened", "x", ("closed", 1006, "")]


@asynchronous
async def test_server_that_refuses_a_message(caplog: pytest.LogCaptureFixture) -> None:
    socket = await Socket().open()
    socket.host.failure = RuntimeError("no")
    socket.session.text("x")
    await socket.host.finish()
    assert socket.events == ["opened", ("closed", 1006, "")]
    assert len(caplog.records) == 1


@asynchronous
async def test_server_that_stops() -> None:
    socket = await Socket().open()
    socket.host.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.host.task
    assert socket.host.sent[-1] == {"type": "websocket.close", "code": 1001, "reason": ""}
    assert socket.events == ["opened", ("closed", 1001, "")]


@asynchronous
async def test_client_that_went_before_accept() -> None:
    socket = Socket()
    socket.host.failure = OSError("gone")
    await socket.host.finish()
    assert socket.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_nothing_is_injected_into_the_accept() -> None:
    socket = Socket(headers=[(b"x", b"a\r\nb: c")])
    with pytest.raises(ValueError, match="control characters"):
        await socket.host.finish()
    assert socket.host.sent == []
    assert socket.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_receive_that_fails_is_a_client_that_is_gone() -> None:
    socket = await Socket().open()
    socket.host.lost = True
    socket.host.text("x")
    await socket.host.finish()
    assert socket.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_message_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    socket = await Socket().open()
    socket.host.put({"type": "websocket.receive"})
    await socket.host.finish()
    assert socket.events == ["opened", ("closed", 1006, "")]
    assert len(caplog.records) == 1


@asynchronous
async def test_scope_that_begins_with_something_else() -> None:
    socket = Socket()
    socket.host.inbox.get_nowait()
    socket.host.put({"type": "websocket.disconnect", "code": 1006})
    assert await socket.host.finish() == []
    assert socket.events == []


@asynchronous
async def test_ping_is_checked_and_nothing_else() -> None:
    socket = await Socket().open()
    socket.session.link.ping(b"x" * 125)
    with pytest.raises(ValueError, match="at most 125"):
        socket.session.link.ping(b"x" * 126)
    assert len(socket.host.sent) == 1
