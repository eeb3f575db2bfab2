"""WebSockets of Longwave's own pages, and what is asked before everything else."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.handlers import Middleware
from longwave.app.hooks import define_websocket_handler
from longwave.app.response import Response
from longwave.app.service import ServiceSocket
from longwave.contract import UpgradeReply
from longwave.core.frames import WS
from longwave.errors import HTTPError
from tests.app.harness import FakeLink, ask, connect, full, make_app, run_app


class Heard:
    """A socket, and what it was told."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.socket = ServiceSocket(
            "a test",
            opened=lambda socket: self.log.append("opened"),
            told=lambda socket, message: self.log.append(message),
            gone=lambda socket: self.log.append("gone"),
        )
        self.link = FakeLink(WS)


def test_objects_come_and_go() -> None:
    heard = Heard()
    heard.socket.send({"type": "early"})
    heard.socket.opened(heard.link)
    heard.socket.send({"type": "a"})
    heard.socket.send_text(b'{"type":"b"}')
    heard.socket.received('{"x": 1}', True)
    heard.socket.received(b'{"x": 2}', True)
    heard.socket.closed(1001, "")
    heard.socket.closed(1001, "")
    heard.socket.send({"type": "late"})
    assert heard.log == ["opened", {"x": 1}, {"x": 2}, "gone"]
    assert [json.loads(text) for text in heard.link.messages] == [{"type": "a"}, {"type": "b"}]
    assert heard.link.closed_with is None


def test_one_that_was_never_opened_has_no_end() -> None:
    heard = Heard()
    heard.socket.closed(1006, "")
    assert heard.log == []


@pytest.mark.parametrize("data", ["", "1", "[]", "null", "{", "[" * 100_000, b"{}", b"\x00"])
def test_what_is_no_object_closes_it(data: str | bytes) -> None:
    heard = Heard()
    heard.socket.opened(heard.link)
    heard.socket.received(data, isinstance(data, str))
    assert heard.log == ["opened"]
    assert heard.link.closed_with == (1007, "expected a JSON object")


def test_an_error_is_logged_and_closes_it(caplog: pytest.LogCaptureFixture) -> None:
    def told(socket: ServiceSocket, message: dict[str, Any]) -> None:
        raise KeyError("x")

    socket, link = ServiceSocket("the inspector", opened=lambda socket: None, told=told), FakeLink(WS)
    socket.opened(link)
    with caplog.at_level(logging.ERROR, "longwave.error"):
        socket.received("{}", True)
    assert link.closed_with == (1011, "")
    assert "a message to the inspector failed" in caplog.text


def test_a_claim_comes_before_everything_else() -> None:
    heard = Heard()
    asked: list[str] = []

    async def layer(event: Event, after: Any) -> Any:
        asked.append(event.path)

    def claim(event: Event, match: object) -> Any:
        if event.path == "/refused":
            raise HTTPError(403, "not you")
        if event.path == "/own":
            return heard.socket.accept("chosen") if event.is_upgrade else Response("own")
        return later() if event.path == "/later" else None

    async def later() -> Any:
        await asyncio.sleep(0)
        return Response("later")

    async def check(app: App) -> None:
        app.add_claim(claim)
        assert (await full(app, "/own")).body == b"own"
        assert (await full(app, "/later")).body == b"later"
        assert (await full(app, "/refused")).status == 403
        reply = await ask(app, "/own", upgrade=True)
        assert isinstance(reply, UpgradeReply) and reply.protocol == "chosen"
        assert reply.session is heard.socket
        assert asked == []
        assert (await full(app, "/")).body == b"route"
        assert asked == ["/"]
        app.set_routes([])
        assert (await full(app, "/own")).body == b"own"

    routes = {"/": lambda event: "route", "/own": lambda event: "hidden"}
    run_app(make_app(routes, middleware=[Middleware(layer)]), check)


def test_a_claimed_socket_is_no_peer() -> None:
    heard = Heard()

    async def check(app: App) -> None:
        app.add_claim(lambda event, match: heard.socket.accept() if event.path == "/own" else None)
        reply = await ask(app, "/own", upgrade=True)
        assert isinstance(reply, UpgradeReply)
        reply.session.opened(heard.link)
        _, link = await connect(app)
        app.publish("room", "hello")
        app.set_routes([])
        assert link.closed_with == (1012, "")
        assert heard.link.closed_with is None and heard.link.messages == []

    run_app(make_app({"/ws": define_websocket_handler(open=lambda peer: None)}), check)


def test_a_layer_is_around_the_middleware_and_stays_over_an_exchange() -> None:
    asked: list[str] = []

    def named(name: str) -> Middleware:
        async def layer(event: Event, after: Any) -> Any:
            asked.append(name)
            return await after()

        return Middleware(layer)

    async def check(app: App) -> None:
        app.add_layer(named("outer"))
        assert (await full(app, "/nowhere")).status == 404
        app.set_routes([], [])
        assert (await full(app, "/nowhere")).status == 404
        assert asked == ["outer", "inner", "outer"]

    run_app(make_app({}, middleware=[named("inner")]), check)
