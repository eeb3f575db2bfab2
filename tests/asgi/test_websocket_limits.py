"""WebSockets under ASGI: pauses, clients that are slow, and limits."""

from __future__ import annotations

import pytest

from longwave.limits import Limits
from longwave.types import SendStatus, SlowPolicy
from tests.asgi.driver import Recorder, asynchronous, turns
from tests.asgi.sockets import Socket, echo


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
