from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from longwave.app.app import App, publish
from longwave.app.event import Event
from longwave.app.handlers import define_event_handler, define_middleware
from longwave.app.hooks import define_websocket_handler
from longwave.app.response import Response, redirect
from longwave.contract import StreamReply, UpgradeReply
from longwave.errors import DefinitionError, HTTPError, RouteError
from tests.app.harness import FakeLink, ask, connect, full, header, make_app, run_app, turn


@dataclasses.dataclass
class Point:
    x: int


class Item(msgspec.Struct):
    name: str
    price: float


@pytest.mark.parametrize(
    ("value", "status", "kind", "body"),
    [
        (None, 204, None, b""),
        ("hi", 200, "text/plain; charset=utf-8", b"hi"),
        (b"\x00", 200, "application/octet-stream", b"\x00"),
        ({"a": 1}, 200, "application/json", b'{"a":1}'),
        ([1], 200, "application/json", b"[1]"),
        (Point(1), 200, "application/json", b'{"x":1}'),
        (Item("a", 1.5), 200, "application/json", b'{"name":"a","price":1.5}'),
        (7, 200, "application/json", b"7"),
        (True, 200, "application/json", b"true"),
        (Response("x", 201), 201, "text/plain; charset=utf-8", b"x"),
        (Response.html("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
        (Response(status=304), 304, None, b""),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_handler_may_return(
    value: Any, status: int, kind: str | None, body: bytes, is_async: bool
) -> None:
    async def later(event: Event) -> Any:
        return value

    async def check(app: App) -> None:
        reply = await full(app)
        assert (reply.status, header(reply, "content-type"), reply.body) == (status, kind, body)

    run_app(make_app({"/": later if is_async else (lambda event: value)}), check)


def test_staged_status_and_headers_are_those_of_the_response() -> None:
    def handler(event: Event) -> dict[str, int]:
        event.response.status = 201
        event.response.set_header("X-One", "1")
        event.response.set_header("x-one", "2")
        event.response.append_header("x-two", "a")
        event.response.set_cookie("sid", "abc", http_only=True)
        return {"a": 1}

    async def check(app: App) -> None:
        reply = await full(app)
        assert reply.status == 201
        assert [value for name, value in reply.headers if name == b"x-one"] == [b"2"]
        assert header(reply, "set-cookie") == "sid=abc; Path=/; HttpOnly"

    run_app(make_app({"/": handler}), check)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0b", "\u20ac"])
def test_nothing_is_injected_into_a_header(value: str, caplog: pytest.LogCaptureFixture) -> None:
    async def check(app: App) -> None:
        for path in ("/header", "/name", "/cookie", "/redirect", "/response"):
            assert (await full(app, path)).status == 500

    routes = {
        "/header": lambda event: event.response.set_header("x", value),
        "/name": lambda event: event.response.append_header(value, "x"),
        "/cookie": lambda event: event.response.set_cookie("x", value),
        "/redirect": lambda event: redirect(value),
        "/response": lambda event: Response("", headers={"x": value}),
    }
    with caplog.at_level(logging.CRITICAL):
        run_app(make_app(routes), check)


def test_errors_have_one_shape_and_hide_what_is_not_meant(caplog: pytest.LogCaptureFixture) -> None:
    def bad(event: Event) -> None:
        raise HTTPError(418, "teapot", data={"x": 1}, headers={"x-tea": "1"})

    def broken(event: Event) -> None:
        raise RuntimeError("secret")

    async def check(app: App) -> None:
        reply = await full(app, "/bad")
        assert reply.status == 418 and header(reply, "x-tea") == "1"
        assert json.loads(reply.body) == {"error": True, "status": 418, "message": "teapot", "data": {"x": 1}}
        reply = await full(app, "/broken")
        assert json.loads(reply.body) == {
            "error": True,
            "status": 500,
            "message": "Server Error",
            "unhandled": True,
        }
        reply = await full(app, "/nothing")
        assert reply.status == 404
        assert app.stats()["errors"] == 1

    with caplog.at_level(logging.ERROR):
        run_app(make_app({"/bad": bad, "/broken": broken}), check)
    assert len(caplog.records) == 1 and "secret" in caplog.text


def test_an_error_that_is_returned_is_one_that_is_raised() -> None:
    async def check(app: App) -> None:
        assert (await full(app)).status == 409

    run_app(make_app({"/": lambda event: HTTPError(409)}), check)


def test_dev_shows_errors_as_a_page(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("<script>")

    async def check(app: App) -> None:
        page = await full(app, "/broken", headers=[(b"accept", b"text/html,*/*")])
        assert page.status == 500
        assert b"RuntimeError: &lt;script&gt;" in page.body and b"<script>" not in page.body
        assert b"test_dispatch.py" in page.body
        assert b"RuntimeError" in (await full(app, "/broken")).body

    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/broken": broken}, dev=True), check)


def test_methods_head_options_and_405() -> None:
    async def check(app: App) -> None:
        assert (await full(app, "/x", method="POST")).body == b"posted"
        assert (await full(app, "/x", method="HEAD")).status == 200
        reply = await full(app, "/x", method="PUT")
        assert reply.status == 405 and header(reply, "allow") == "GET, HEAD, POST, OPTIONS"
        reply = await full(app, "/x", method="OPTIONS")
        assert reply.status == 204 and header(reply, "allow") == "GET, HEAD, POST, OPTIONS"
        assert (await full(app, "/any", method="PURGE")).body == b"PURGE"
        reply = await full(app, "*", method="OPTIONS")
        assert reply.status == 204 and "POST" in (header(reply, "allow") or "")

    routes = {
        "GET /x": lambda event: "got",
        "POST /x": lambda event: "posted",
        "/any": lambda event: event.method,
    }
    run_app(make_app(routes), check)


def test_middleware_wraps_the_route_in_order_and_may_answer() -> None:
    seen: list[str] = []

    @define_middleware
    def first(event: Event) -> Any:
        seen.append(f"first {event.path}")
        if event.path == "/closed":
            return Response("no", 403)
        event.context["user"] = "ann"
        return None

    async def second(event: Event, next: Any) -> Any:
        seen.append("second before")
        response = await next()
        assert await next() is response
        seen.append("second after")
        response.set_header("x-wrapped", "1")
        return response

    from longwave.app.handlers import Middleware

    async def check(app: App) -> None:
        reply = await full(app, "/")
        assert reply.body == b"ann" and header(reply, "x-wrapped") == "1"
        assert seen == ["first /", "second before", "second after"]
        assert (await full(app, "/closed")).status == 403
        assert (await full(app, "/missing")).status == 404
        refused = await full(app, "/closed", upgrade=True)
        assert refused.status == 403
        upgrade = await ask(app, "/ws", upgrade=True)
        assert isinstance(upgrade, UpgradeReply)

    routes: dict[str, Any] = {"/": lambda event: event.context["user"], "/ws": define_websocket_handler()}
    run_app(make_app(routes, middleware=[first, Middleware(second)]), check)


def test_middleware_sees_the_context_that_the_peer_keeps() -> None:
    async def auth(event: Event) -> None:
        event.context["user"] = event.headers["x-user"]

    from longwave.app.handlers import Middleware

    async def check(app: App) -> None:
        peer, _ = await connect(app, headers=[(b"x-user", b"ann")])
        assert peer.context["user"] == "ann"

    run_app(make_app({"/ws": define_websocket_handler()}, middleware=[Middleware(auth)]), check)


def test_a_streamed_body_is_written_as_it_comes_and_cut_when_it_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def parts(fail: bool) -> AsyncIterator[str | bytes]:
        yield "one "
        yield b"two"
        if fail:
            raise RuntimeError("half way")

    async def check(app: App) -> None:
        for path, cut in (("/good", False), ("/bad", True)):
            reply = await ask(app, path)
            assert isinstance(reply, StreamReply) and reply.format == "body"
            from longwave.core.sse import BODY

            link = FakeLink(BODY)
            reply.session.opened(link)
            await turn(5)
            assert link.text == "one two"
            assert link.aborted == cut and (link.closed_with is None) == cut
            reply.session.closed(1000, "")

    routes = {"/good": lambda event: Response(parts(False)), "/bad": lambda event: Response(parts(True))}
    with caplog.at_level(logging.CRITICAL):
        run_app(make_app(routes), check)


def test_publish_knows_its_app() -> None:
    with pytest.raises(LookupError, match="none is running"):
        publish("t", "x")

    def handler(event: Event) -> str:
        publish("room", "from a handler")
        return "ok"

    async def check(app: App) -> None:
        other = make_app({"/": handler, "/ws": define_websocket_handler()})
        await other.startup()
        peer, link = await connect(other)
        peer.subscribe("room")
        mine, my_link = await connect(app)
        mine.subscribe("room")
        await full(other, "/")
        await turn(2)
        assert link.messages == ["from a handler"] and my_link.messages == []
        await other.shutdown()
        publish("room", "only one runs")
        await turn(2)
        assert my_link.messages == ["only one runs"]

    run_app(make_app({"/": handler, "/ws": define_websocket_handler()}), check)


def test_definitions_that_cannot_work_are_errors_that_say_where() -> None:
    def too_many(event: Event, other: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"test_dispatch\.py:\d+\) needs 2: event, other"):
        define_event_handler(too_many)
    with pytest.raises(DefinitionError, match="the open hook"):
        define_websocket_handler(open=lambda a, b: None)
    with pytest.raises(DefinitionError, match='"close", "drop_new" or "drop_old"'):
        define_websocket_handler(slow="never")
    with pytest.raises(RouteError, match="GET"):
        make_app({"GET /ws": define_websocket_handler()})
    with pytest.raises(RouteError, match="found 7"):
        make_app({"/x": 7})
    with pytest.raises(RouteError, match="both answer"):
        make_app({"/a/[x]": lambda event: 1, "/a/[y]": lambda event: 2})


def test_a_blocking_handler_runs_in_a_thread() -> None:
    import threading

    @define_event_handler(blocking=True)
    def handler(event: Event) -> bool:
        return threading.current_thread() is threading.main_thread()

    async def check(app: App) -> None:
        assert (await full(app)).body == b"false"

    run_app(make_app({"/": handler}), check)


def test_a_request_that_is_cancelled_cancels_its_handler() -> None:
    events: list[str] = []

    async def handler(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def check(app: App) -> None:
        task = asyncio.ensure_future(ask(app))
        await turn(3)
        task.cancel()
        await turn(3)
        assert events == ["cancelled"]

    run_app(make_app({"/": handler}), check)


def test_a_trusted_proxy_is_believed() -> None:
    async def check(app: App) -> None:
        said = [
            (b"x-forwarded-for", b"198.51.100.7"),
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-host", b"public.example"),
        ]
        reply = await full(app, "/", headers=said)
        assert json.loads(reply.body) == [["198.51.100.7", 0], "https", "https://public.example/"]
        origin = [*said, (b"origin", b"https://public.example")]
        peer, _ = await connect(app, "/ws", headers=origin)
        assert peer.remote_address == ("198.51.100.7", 0)
        assert peer.request.host == "public.example"

    def handler(event: Event) -> Any:
        return [event.remote_address, event.scheme, event.url]

    routes = {"/": handler, "/ws": define_websocket_handler()}
    run_app(make_app(routes, trusted_proxies=["192.0.2.0/24"]), check)


def test_dev_says_when_the_listeners_are_in_another_namespace(caplog: pytest.LogCaptureFixture) -> None:
    async def check(app: App) -> None:
        peer, _ = await connect(app, "/a")
        peer.subscribe("room")
        app.publish("room", "x", namespace="/b")
        app.publish("nobody", "x", namespace="/b")
        app.publish("room", "x", namespace="/a")

    with caplog.at_level(logging.WARNING, "longwave.dev"):
        run_app(make_app({"/a": define_websocket_handler()}, dev=True), check)
    assert [record.getMessage() for record in caplog.records] == [
        "nobody heard 'room' in namespace /b: its listeners are in /a"
    ]


def test_dev_names_a_hook_that_holds_the_loop(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    from longwave.app.route import route_of_value

    monkeypatch.setattr("longwave.app.calls.HOLD", 0.0)
    route = route_of_value(lambda event: time.sleep(0.001), "/", None, "", watch=True)

    async def check(app: App) -> None:
        await full(app)

    with caplog.at_level(logging.WARNING, "longwave.dev"):
        run_app(App([route], dev=True), check)
    assert "the handler at" in caplog.text and "test_dispatch.py:" in caplog.text
