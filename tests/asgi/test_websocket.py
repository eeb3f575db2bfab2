from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.asgi.websocket import WebSocketLink
from longwave.asgi.wire import ASGI_WS
from longwave.contract import FullReply, Link, Reply, Request, StreamReply, UpgradeReply
from longwave.errors import RequestError
from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus, SlowPolicy
from tests.asgi.driver import Application, Host, Recorder, asynchronous, turns, websocket_scope

CONNECT = {"type": "websocket.connect"}


class Socket:
    """A host whose application accepts every WebSocket with one recording session."""

    def __init__(
        self,
        session: Recorder | None = None,
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        policy: SlowPolicy = SlowPolicy.CLOSE,
        headers: Any = (),
        protocol: str | None = None,
    ) -> None:
        self.session = session or Recorder()
        reply = UpgradeReply(self.session, list(headers), protocol, policy)
        application = Application(lambda request: reply)
        self.host = Host(application, websocket_scope(), limits=limits, timeouts=timeouts)
        self.host.put(CONNECT)

    async def open(self) -> Socket:
        await turns()
        return self

    @property
    def events(self) -> list[Any]:
        return self.session.events

    @property
    def messages(self) -> list[Any]:
        return [message.get("text") or message.get("bytes") for message in self.host.sent[1:]]

    async def disconnect(self, code: int | None = 1000, **more: Any) -> None:
        message = {"type": "websocket.disconnect", "code": code, **more}
        self.host.put({key: value for key, value in message.items() if value is not None})
        await self.host.finish()


def echo(link: Link, data: str | bytes) -> None:
    payload = data.encode() if isinstance(data, str) else data
    link.write(link.wire.frame(payload, isinstance(data, str)))


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
async def test_pause_and_resume() -> None:
    socket = await Socket().open()
    socket.session.link.pause()
    socket.session.link.pause()
    for data in ("one", "two", "three"):
        socket.host.text(data)
    await turns()
    assert socket.events == ["opened"]
    # One message is taken ahead, so that a disconnect is seen; the rest stays with the server.
    assert socket.host.inbox.qsize() == 2
    socket.session.link.resume()
    await turns()
    assert socket.events == ["opened", "one", "two", "three"]


@asynchronous
async def test_pause_inside_a_message() -> None:
    socket = await Socket(Recorder(lambda link, data: link.pause())).open()
    for data in ("one", "two"):
        socket.host.text(data)
    await turns()
    assert socket.events == ["opened", "one"]
    socket.session.link.resume()
    await turns()
    assert socket.events == ["opened", "one", "two"]


@asynchronous
async def test_client_that_goes_while_paused_is_noticed() -> None:
    socket = await Socket().open()
    socket.session.link.pause()
    await socket.disconnect(1001)
    assert socket.events == ["opened", ("closed", 1001, "")]


@asynchronous
async def test_close_while_paused() -> None:
    socket = await Socket().open()
    socket.session.link.pause()
    socket.host.text("waits")
    await turns()
    socket.session.link.close()
    socket.session.link.pause()
    await socket.disconnect()
    assert socket.events == ["opened", ("closed", 1000, "")]


@asynchronous
async def test_echo_throttles_itself() -> None:
    socket = await Socket(Recorder(echo), limits=Limits(outgoing=1000)).open()
    socket.host.open.clear()
    for _ in range(100):
        socket.host.text("x" * 100)
    await turns(200)
    assert socket.host.inbox.qsize() > 90
    assert socket.session.link.buffered <= 1100
    socket.host.open.set()
    await turns(500)
    assert socket.messages == ["x" * 100] * 100


@asynchronous
async def test_reading_stops_while_much_is_buffered() -> None:
    socket = await Socket(limits=Limits(outgoing=1000)).open()
    socket.host.open.clear()
    socket.session.bytes(b"x" * 600)
    await turns()
    socket.host.text("waits")
    await turns()
    assert socket.events == ["opened"]
    socket.host.open.set()
    await turns()
    assert socket.events == ["opened", "drained", "waits"]


@pytest.mark.parametrize(
    ("policy", "status", "kept"),
    [
        (SlowPolicy.DROP_NEW, SendStatus.DROPPED, ["a", "b"]),
        (SlowPolicy.DROP_OLD, SendStatus.BUFFERED, ["a", "c"]),
    ],
)
@asynchronous
async def test_policies(policy: SlowPolicy, status: SendStatus, kept: list[str]) -> None:
    socket = await Socket(limits=Limits(outgoing=1000), policy=policy).open()
    socket.host.open.clear()
    socket.session.text("a" * 400)
    await turns()
    assert socket.session.text("b" * 600) is SendStatus.BUFFERED
    assert socket.session.text("c" * 600) is status
    socket.host.open.set()
    await turns()
    assert [message[0] for message in socket.messages] == kept
    assert socket.host.app.stats()["limits.outgoing"] == 1


@asynchronous
async def test_what_was_joined_comes_to_the_bound_message_by_message() -> None:
    socket = await Socket(limits=Limits(outgoing=1000), policy=SlowPolicy.DROP_NEW).open()
    socket.host.open.clear()
    link = socket.session.link
    messages = [link.wire.frame(f"{number:0200d}".encode(), True) for number in range(8)]
    assert link.write(link.wire.join(messages)) is SendStatus.DROPPED
    assert link.buffered == 1000
    assert socket.host.app.stats()["limits.outgoing"] == 3
    socket.host.open.set()
    await turns()
    assert [int(message) for message in socket.messages] == [0, 1, 2, 3, 4]


@asynchronous
async def test_too_slow_is_closed_with_1013() -> None:
    socket = await Socket(limits=Limits(outgoing=1000)).open()
    socket.host.open.clear()
    socket.session.text("a" * 400)
    await turns()
    socket.session.text("b" * 600)
    assert socket.session.text("c") is SendStatus.CLOSED
    assert socket.session.link.buffered <= 1000
    socket.host.open.set()
    await turns()
    assert socket.host.sent[-1] == {"type": "websocket.close", "code": 1013, "reason": "too slow"}
    await socket.disconnect()
    assert socket.events == ["opened", ("closed", 1013, "too slow")]


@pytest.mark.parametrize("data", ["x" * 11, "ü" * 6, b"x" * 11])
@asynchronous
async def test_message_too_big(data: str | bytes) -> None:
    socket = await Socket(limits=Limits(message=10)).open()
    socket.host.text("x" * 10)
    socket.host.text("ü" * 5)
    socket.host.put({"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data})
    socket.host.text("after")
    await turns()
    assert socket.events == ["opened", "x" * 10, "ü" * 5]
    assert socket.host.sent[-1]["code"] == 1009
    assert socket.host.app.stats()["limits.message"] == 1


@asynchronous
async def test_too_many_messages() -> None:
    socket = await Socket(limits=Limits(message_rate=5)).open()
    for number in range(10):
        socket.host.text(str(number))
    await turns()
    assert socket.events == ["opened", "0", "1", "2", "3", "4"]
    assert socket.host.sent[-1]["code"] == 1008
    assert socket.host.app.stats()["limits.message_rate"] == 1


@asynchronous
async def test_others_get_their_turn() -> None:
    order: list[Any] = []
    socket = await Socket(
        Recorder(lambda link, data: order.append(data)), limits=Limits(messages_per_turn=4)
    ).open()
    for number in range(20):
        socket.host.text(str(number))

    async def other() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            order.append("other")

    await asyncio.gather(other(), turns())
    assert order.index("other") < 10
    assert [item for item in order if item != "other"] == list(map(str, range(20)))
    stats = socket.host.app.stats()
    assert stats["limits.messages_per_turn"] + stats["timeouts.turn"] >= 5
    assert stats["limits.messages_per_turn"] > 0


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
async def test_nothing_is_injected_into_the_accept() -> None:
    socket = Socket(headers=[(b"x", b"a\r\nb: c")])
    with pytest.raises(ValueError, match="control characters"):
        await socket.host.finish()
    assert socket.host.sent == []
    assert socket.events == ["opened", ("closed", 1006, "")]


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
