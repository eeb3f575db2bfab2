"""Middleware around everything, and answers that cannot be given: nothing hangs, nothing leaks over."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.handlers import Middleware
from longwave.app.hooks import define_websocket_handler
from longwave.app.response import Response, redirect
from longwave.contract import FullReply, StreamReply, UpgradeReply
from longwave.errors import HTTPError
from tests.app.harness import ask, full, make_app, run_app, turn
from tests.app.test_iterators import Items


def values(reply: FullReply | StreamReply | UpgradeReply, name: bytes) -> list[bytes]:
    return [value for key, value in reply.headers if key == name]


async def passing(event: Event, next: Any) -> Any:
    return await next()


def plain(event: Event) -> None: ...


SHARED = Response("shared", headers={"x-shared": "1"})


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_what_was_staged_goes_out_once_and_never_to_another_request(layers: int) -> None:
    async def adding(event: Event, next: Any) -> Any:
        response = await next()
        response.append_header("x-added", "1")
        return response

    def handler(event: Event) -> Any:
        event.response.set_cookie("sid", event.query["sid"])
        return SHARED if event.path == "/shared" else {"a": 1}

    async def check(app: App) -> None:
        for path in ("/shared", "/dict"):
            for sid in (b"1", b"2"):
                reply = await full(app, f"{path}?sid={sid.decode()}")
                assert values(reply, b"set-cookie") == [b"sid=" + sid + b"; Path=/"]
                assert values(reply, b"x-added") == [b"1"] * layers
        assert SHARED.fields == [(b"x-shared", b"1"), (b"content-type", b"text/plain; charset=utf-8")]

    routes = {"/shared": handler, "/dict": handler}
    run_app(make_app(routes, middleware=[Middleware(adding)] * layers), check)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_what_is_staged_reaches_files_and_mounts_too(layers: int) -> None:
    def stage(event: Event) -> None:
        event.response.set_header("x-cors", "*")
        event.response.set_header("etag", "staged")

    def static(event: Event, match: object) -> FullReply:
        return FullReply(200, [(b"etag", b"own")], b"file")

    async def check(app: App) -> None:
        reply = await full(app, "/file")
        assert values(reply, b"x-cors") == [b"*"] and values(reply, b"etag") == [b"own"]

    middleware = [Middleware(stage), *[Middleware(passing)] * layers]
    run_app(make_app({}, middleware=middleware, static=static), check)


def failing(error: BaseException, how: str) -> Any:
    def raising(event: Event) -> None:
        raise error

    async def later(event: Event) -> None:
        await asyncio.sleep(0)
        raise error

    return {"raised": raising, "raised later": later, "returned": lambda event: error}[how]


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


ERRORS: list[tuple[BaseException, int]] = [
    (HTTPError(409, headers={"x": "a\r\nb"}), 409),
    (HTTPError(409, data=object()), 409),
    (HTTPError(409, "\ud800"), 409),
    (HTTPError(500, headers={"x": 5}), 500),  # type: ignore[dict-item]
    (Silent(), 500),
    (Response("stop", 403), 403),
    (redirect("/login"), 302),
    (KeyError("x"), 500),
]


@pytest.mark.parametrize("dev", [False, True])
@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("how", ["raised", "raised later", "returned"])
@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_has_an_answer(
    error: BaseException, status: int, how: str, layers: int, dev: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(app: App) -> None:
        async with asyncio.timeout(5):
            reply = await full(app, "/", headers=[(b"accept", b"text/html")])
        assert reply.status == status
        if not isinstance(error, Response):
            kind = values(reply, b"content-type")[0]
            assert kind == (b"text/html; charset=utf-8" if dev else b"application/json")

    with caplog.at_level(logging.CRITICAL):
        run_app(
            make_app({"/": failing(error, how)}, middleware=[Middleware(passing)] * layers, dev=dev), check
        )


@pytest.mark.parametrize("layers", [0, 1])
def test_a_handler_that_asks_a_cancelled_task_is_a_500_and_no_hang(
    layers: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(event: Event) -> None:
        task = asyncio.ensure_future(asyncio.sleep(1))
        task.cancel()
        await task

    async def check(app: App) -> None:
        async with asyncio.timeout(5):
            assert (await full(app, "/")).status == 500

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/": handler}, middleware=[Middleware(passing)] * layers), check)
    assert [record.getMessage() for record in caplog.records] == ["GET / failed"]


def test_a_task_that_somebody_else_cancels_ends_the_request() -> None:
    async def handler(event: Event) -> None:
        event.task.cancel()  # type: ignore[union-attr]
        await asyncio.sleep(1)

    async def check(app: App) -> None:
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(5):
                await ask(app, "/")

    run_app(make_app({"/": handler}), check)


def test_a_client_that_goes_cancels_middleware_and_what_is_below_it() -> None:
    events: list[str] = []

    async def layer(event: Event, next: Any) -> Any:
        try:
            return await next()
        finally:
            events.append("layer")

    async def handler(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("handler")

    async def check(app: App) -> None:
        task = asyncio.create_task(ask(app, "/"))
        await turn(4)
        task.cancel()
        await turn(4)
        assert events == ["handler", "layer"]

    run_app(make_app({"/": handler}, middleware=[Middleware(layer)]), check)


def test_next_runs_once_and_a_second_call_has_the_same_outcome() -> None:
    ran: list[str] = []
    seen: list[Any] = []

    def handler(event: Event) -> str:
        ran.append(event.path)
        if event.path == "/fails":
            raise HTTPError(409)
        return "ok"

    async def twice(event: Event, next: Any) -> Any:
        if event.path == "/fails":
            failed = (await asyncio.gather(next(), return_exceptions=True))[0]
            again = (await asyncio.gather(next(), return_exceptions=True))[0]
            assert failed is again and isinstance(failed, HTTPError)
            return Response("mended", 200)
        first = await next()
        assert await next() is first
        seen.append(first)
        return None

    async def check(app: App) -> None:
        assert (await full(app, "/")).body == b"ok"
        assert (await full(app, "/fails")).body == b"mended"
        assert ran == ["/", "/fails"]

    routes = {"/": handler, "/fails": handler}
    run_app(make_app(routes, middleware=[Middleware(twice)]), check)


def test_an_error_that_middleware_swallows_without_an_answer_comes_back() -> None:
    async def swallowing(event: Event, next: Any) -> None:
        try:
            await next()
        except HTTPError:
            pass

    async def check(app: App) -> None:
        assert (await full(app, "/")).status == 409

    run_app(make_app({"/": failing(HTTPError(409), "raised")}, middleware=[Middleware(swallowing)]), check)


def test_next_with_a_time_limit_and_in_parallel(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []

    async def handler(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    async def limited(event: Event, next: Any) -> Any:
        if event.path == "/parallel":
            first = asyncio.create_task(next())
            await turn(2)
            try:
                with pytest.raises(RuntimeError, match="runs already"):
                    await next()
            finally:
                first.cancel()
            return "done"
        try:
            return await asyncio.wait_for(next(), 0.01)
        except TimeoutError:
            return Response("too slow", 504)

    async def check(app: App) -> None:
        assert (await full(app, "/")).status == 504
        assert (await full(app, "/parallel")).body == b"done"
        await turn(2)
        assert events == ["cancelled", "cancelled"]

    routes = {"/": handler, "/parallel": handler}
    run_app(make_app(routes, middleware=[Middleware(limited)]), check)


def test_middleware_may_answer_with_anything_a_handler_may() -> None:
    async def generator(event: Event) -> Any:
        async def items() -> AsyncIterator[str]:
            yield "x"

        return items()

    async def check(app: App) -> None:
        reply = await ask(app, "/")
        assert isinstance(reply, StreamReply) and reply.format == "sse"
        reply.session.closed(1006, "")
        await turn(3)

    run_app(make_app({"/": plain}, middleware=[Middleware(generator)]), check)


@pytest.mark.parametrize("layers", [0, 1])
def test_head_of_every_kind_of_answer(layers: int) -> None:
    items = Items(b"x")

    async def later(event: Event) -> str:
        return "later"

    async def check(app: App) -> None:
        for path, length in (("/text", 4), ("/json", 7), ("/none", 0), ("/later", 5), ("/error", None)):
            reply = await full(app, path, method="HEAD")
            assert length is None or len(reply.body) == length
        stream = await ask(app, "/streamed", method="HEAD")
        assert isinstance(stream, StreamReply) and values(stream, b"content-type")
        await turn(2)
        assert (items.taken, items.closed) == (0, 1)
        assert (await full(app, "/post", method="HEAD")).status == 405
        assert (await full(app, "/ws", method="HEAD")).status == 426
        assert (await full(app, "/own", method="HEAD")).body == b"head"

    routes = {
        "GET /text": lambda event: "text",
        "GET /json": lambda event: {"a": 1},
        "GET /none": plain,
        "GET /later": later,
        "GET /error": failing(HTTPError(409), "raised"),
        "GET /streamed": lambda event: Response(items),
        "POST /post": plain,
        "/ws": define_websocket_handler(),
        "HEAD /own": lambda event: "head",
        "GET /own": lambda event: "get",
    }
    run_app(make_app(routes, middleware=[Middleware(passing)] * layers), check)


def test_which_status_for_which_way_to_miss() -> None:
    async def check(app: App) -> None:
        cases = [
            ("/nothing", "GET", False, 404),
            ("/nothing", "GET", True, 404),
            ("/http", "DELETE", False, 405),
            ("/http", "GET", True, 400),
            ("/ws", "GET", False, 426),
            ("/ws", "POST", False, 426),
            ("/ws", "OPTIONS", False, 426),
            ("/both", "GET", False, 200),
            ("/both", "POST", False, 405),
            ("/both", "OPTIONS", False, 204),
        ]
        for path, method, upgrade, status in cases:
            reply = await full(app, path, method=method, upgrade=upgrade)
            assert reply.status == status, (path, method, upgrade)
            if not 200 <= status < 300:
                assert json.loads(reply.body)["message"]
            if status == 405:
                assert b"OPTIONS" in values(reply, b"allow")[0]
        assert isinstance(await ask(app, "/both", upgrade=True), UpgradeReply)
        assert values(await full(app, "/both", method="OPTIONS"), b"allow") == [b"GET, HEAD, OPTIONS"]

    from types import ModuleType

    from longwave.app.route import route_of_module, route_of_value

    module = ModuleType("both")
    module.__dict__.update(handler=None, websocket=define_websocket_handler())
    both = route_of_module(module, "/both", None, "both.py")
    both.add_http("GET", lambda event: "x", False)
    app = App(
        [
            both,
            route_of_value(plain, "/http", "GET", ""),
            route_of_value(define_websocket_handler(), "/ws", None, ""),
        ]
    )
    run_app(app, check)


def test_bodies_that_were_changed_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    def handler(event: Event) -> Response:
        response = Response("x")
        response.body = "text" if event.path == "/text" else 7  # type: ignore[assignment]
        return response

    async def check(app: App) -> None:
        assert (await full(app, "/text")).body == b"text"
        assert (await full(app, "/number")).status == 500

    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/text": handler, "/number": handler}), check)
