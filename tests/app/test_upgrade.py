from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.handlers import Middleware
from longwave.app.hooks import UpgradeResult, define_websocket_handler
from longwave.app.response import Response, redirect
from longwave.contract import FullReply, UpgradeReply
from longwave.errors import HTTPError
from longwave.limits import Timeouts
from longwave.types import Compression, Fields, SlowPolicy
from tests.app.harness import ask, connect, full, header, make_app, run_app, turn


def test_an_upgrade_is_an_ordinary_request_whose_context_is_the_peers() -> None:
    ran: list[str] = []

    async def auth(event: Event, next: Any) -> Any:
        ran.append("middleware")
        event.context["user"] = event.cookies["sid"]
        event.response.set_header("x-before", "1")
        response = await next()
        assert response.status == 101
        response.set_header("x-after", "2")
        event.response.set_cookie("late", "3")
        return response

    def upgrade(event: Event) -> UpgradeResult:
        ran.append("hook")
        assert event.params == {"id": "7"}
        return UpgradeResult(headers=[("x-hook", "4")], context={"more": event.context["user"] + "!"})

    async def check(app: App) -> None:
        peer, _ = await connect(app, "/rooms/7?a=b", headers=[(b"cookie", b"sid=ann")])
        assert ran == ["middleware", "hook"]
        assert peer.context is peer.request.context == {"user": "ann", "more": "ann!"}
        assert peer.request.params == {"id": "7"} and peer.namespace == "/rooms/7"
        reply = await ask(app, "/rooms/7", upgrade=True, headers=[(b"cookie", b"sid=ann")])
        assert isinstance(reply, UpgradeReply)
        assert sorted(reply.headers) == [
            (b"set-cookie", b"late=3; Path=/"),
            (b"x-after", b"2"),
            (b"x-before", b"1"),
            (b"x-hook", b"4"),
        ]

    routes = {"/rooms/[id]": define_websocket_handler(upgrade=upgrade)}
    run_app(make_app(routes, middleware=[Middleware(auth)]), check)


def raising(error: Exception) -> Any:
    def hook(event: Event) -> None:
        raise error

    return hook


def raising_later(error: BaseException) -> Any:
    async def hook(event: Event) -> None:
        await asyncio.sleep(0)
        raise error

    return hook


@pytest.mark.parametrize(
    ("hook", "status", "logged"),
    [
        (lambda event: Response("no", 403), 403, 0),
        (lambda event: HTTPError(402), 402, 0),
        (raising(HTTPError(401)), 401, 0),
        (raising(Response("no", 410)), 410, 0),
        (raising_later(redirect("/login")), 302, 0),
        (raising(KeyError("x")), 500, 1),
        (raising_later(KeyError("x")), 500, 1),
        (raising_later(asyncio.CancelledError()), 500, 1),
        (raising_later(TimeoutError("its own")), 500, 1),
        (lambda event: 7, 500, 1),
        (lambda event: UpgradeResult(protocol="never offered"), 500, 1),
        (lambda event: UpgradeResult(headers={"x": "a\r\nb"}), 500, 1),
    ],
)
def test_a_hook_that_refuses_or_fails_is_answered_and_never_hangs(
    hook: Any, status: int, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[str] = []

    async def check(app: App) -> None:
        async with asyncio.timeout(5):
            reply = await full(app, "/ws", upgrade=True)
        assert reply.status == status and app.stats()["peers"] == 0

    handler = define_websocket_handler(upgrade=hook, open=lambda peer: opened.append("open"))
    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({"/ws": handler}), check)
    assert len(caplog.records) == logged and opened == []


def test_a_client_that_goes_during_the_hook_cancels_it() -> None:
    events: list[str] = []

    async def hook(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    async def check(app: App) -> None:
        task = asyncio.create_task(ask(app, "/ws", upgrade=True))
        await turn(3)
        task.cancel()
        await turn(3)
        assert events == ["cancelled"] and app.stats()["peers"] == 0

    run_app(make_app({"/ws": define_websocket_handler(upgrade=hook)}), check)


@pytest.mark.parametrize("where", ["hook", "middleware"])
def test_what_takes_too_long_is_a_503_also_for_one_that_accepts_streams(where: str) -> None:
    async def slow(event: Event) -> None:
        await asyncio.Event().wait()

    async def check(app: App) -> None:
        reply = await full(app, "/ws", upgrade=True, headers=[(b"accept", b"text/event-stream")])
        assert reply.status == 503 and (b"retry-after", b"1") in reply.headers
        assert b"timeouts.upgrade" in reply.body

    handler = define_websocket_handler(upgrade=slow if where == "hook" else None)
    middleware = [Middleware(slow)] if where == "middleware" else []
    run_app(make_app({"/ws": handler}, middleware=middleware, timeouts=Timeouts(upgrade=0.01)), check)


@pytest.mark.parametrize(
    ("result", "handler", "path", "namespace"),
    [
        (None, None, "/rooms/1?x=2", "/rooms/1"),
        (None, "/n", "/rooms/1", "/n"),
        ("/own", "/n", "/rooms/1", "/own"),
        ("", "/n", "/rooms/1", "/n"),
        ("", "", "/rooms/1", "/rooms/1"),
    ],
)
def test_where_a_namespace_comes_from(
    result: str | None, handler: str | None, path: str, namespace: str
) -> None:
    async def check(app: App) -> None:
        peer, _ = await connect(app, path)
        assert peer.namespace == namespace

    made = define_websocket_handler(upgrade=lambda event: UpgradeResult(namespace=result), namespace=handler)
    run_app(make_app({"/rooms/[id]": made}), check)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([b"a, b"], "b"),
        ([b"c", b"a"], "a"),
        ([b"x"], None),
        ([], None),
        ([b"A"], None),
    ],
)
def test_the_first_choice_of_the_server_that_the_client_offers(
    offered: list[bytes], chosen: str | None
) -> None:
    async def check(app: App) -> None:
        headers: Fields = [(b"sec-websocket-protocol", value) for value in offered]
        reply = await ask(app, "/ws", upgrade=True, headers=headers)
        assert isinstance(reply, UpgradeReply) and reply.protocol == chosen

    run_app(make_app({"/ws": define_websocket_handler(protocols=("b", "a"))}), check)


def test_bad_offers_and_the_policy() -> None:
    async def check(app: App) -> None:
        for value in (b"\xff", b"a, a"):
            reply = await full(app, "/ws", upgrade=True, headers=[(b"sec-websocket-protocol", value)])
            assert reply.status == 400
        good = await ask(app, "/ws", upgrade=True)
        assert isinstance(good, UpgradeReply) and good.policy is SlowPolicy.DROP_NEW

    run_app(make_app({"/ws": define_websocket_handler(slow="drop_new")}), check)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://example.com", None),
        (b"https://example.com", None),
        (b"http://example.com:81", 403),
        (b"http://evil.example", 403),
        (b"null", 403),
        (b"http://sub.friend.example", None),
    ],
)
def test_the_origin_is_checked_after_middleware_and_before_the_hook(
    origin: bytes, status: int | None
) -> None:
    ran: list[str] = []

    async def check(app: App) -> None:
        reply = await ask(app, "/ws", upgrade=True, headers=[(b"origin", origin)])
        if status is None:
            assert isinstance(reply, UpgradeReply) and ran == ["middleware", "hook"]
        else:
            assert isinstance(reply, FullReply) and reply.status == status and ran == ["middleware"]
            message = json.loads(reply.body)["message"]
            assert "security.origins" in message and origin.decode() in message and "example.com" in message

    routes = {"/ws": define_websocket_handler(upgrade=lambda event: ran.append("hook"))}
    middleware = [Middleware(lambda event: ran.append("middleware"))]
    run_app(make_app(routes, middleware=middleware, origins=["*.friend.example"]), check)


def test_a_doubled_origin_and_none() -> None:
    async def check(app: App) -> None:
        twice = [(b"origin", b"http://example.com")] * 2
        assert (await full(app, "/ws", upgrade=True, headers=twice)).status == 403
        assert isinstance(await ask(app, "/ws", upgrade=True), UpgradeReply)
        local = [(b"origin", b"http://localhost:5173")]
        assert (await full(app, "/ws", upgrade=True, headers=local)).status == 403

    run_app(make_app({"/ws": define_websocket_handler()}), check)

    async def check_dev(app: App) -> None:
        local = [(b"origin", b"http://localhost:5173")]
        assert isinstance(await ask(app, "/ws", upgrade=True, headers=local), UpgradeReply)

    run_app(make_app({"/ws": define_websocket_handler()}, dev=True), check_dev)


def test_routes_that_are_none_or_no_websocket_and_the_switch() -> None:
    async def check(app: App) -> None:
        assert (await full(app, "/nothing", upgrade=True)).status == 404
        assert (await full(app, "/http", upgrade=True)).status == 400
        reply = await full(app, "/ws", upgrade=True)
        assert reply.status == 426 and b"features.websocket" in reply.body
        assert (b"upgrade", b"websocket") in reply.headers

    routes = {"/http": lambda event: "x", "/ws": define_websocket_handler()}
    run_app(make_app(routes, websocket=False), check)


def test_upgrades_that_are_refused() -> None:
    async def check(app: App) -> None:
        assert (await full(app, "/nothing", upgrade=True)).status == 404
        no_socket = await full(app, "/http", upgrade=True)
        assert no_socket.status == 400 and b"no WebSocket" in no_socket.body
        plain = await full(app, "/ws")
        assert plain.status == 426 and header(plain, "upgrade") == "websocket"
        foreign = await full(app, "/ws", upgrade=True, headers=[(b"origin", b"https://evil.example")])
        assert foreign.status == 403 and b"security.origins" in foreign.body
        own = await ask(app, "/ws", upgrade=True, headers=[(b"origin", b"http://example.com")])
        assert isinstance(own, UpgradeReply)

    run_app(make_app({"/http": lambda event: "x", "/ws": define_websocket_handler()}), check)


def test_websockets_can_be_switched_off() -> None:
    async def check(app: App) -> None:
        reply = await full(app, "/ws", upgrade=True)
        assert reply.status == 426 and b"features.websocket" in reply.body

    run_app(make_app({"/ws": define_websocket_handler()}, websocket=False), check)


@pytest.mark.parametrize("is_async", [False, True])
def test_what_the_upgrade_hook_may_settle(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    def settle(event: Event) -> Any:
        how = event.query.get("how")
        if how == "raise":
            raise HTTPError(401, headers={"www-authenticate": "Bearer"})
        if how == "response":
            return Response("gone", 410)
        if how == "bug":
            raise RuntimeError("bug")
        if how == "nonsense":
            return 7
        if how == "all":
            return UpgradeResult(
                headers={"x-a": "1"}, namespace="/n", context={"k": 1}, protocol="v2", user="ann"
            )
        return None

    async def settle_later(event: Event) -> Any:
        await asyncio.sleep(0)
        return settle(event)

    async def check(app: App) -> None:
        refused = await full(app, "/ws?how=raise", upgrade=True)
        assert refused.status == 401 and header(refused, "www-authenticate") == "Bearer"
        assert (await full(app, "/ws?how=response", upgrade=True)).body == b"gone"
        assert (await full(app, "/ws?how=bug", upgrade=True)).status == 500
        assert (await full(app, "/ws?how=nonsense", upgrade=True)).status == 500
        offer = [(b"sec-websocket-protocol", b"v1, v2")]
        reply = await ask(app, "/ws?how=all", upgrade=True, headers=offer)
        assert isinstance(reply, UpgradeReply)
        assert (reply.protocol, reply.headers) == ("v2", [(b"x-a", b"1")])
        peer, _ = await connect(app, "/ws?how=all", headers=offer)
        assert (peer.namespace, peer.context["k"], peer.user, peer.protocol) == ("/n", 1, "ann", "v2")
        assert (await full(app, "/ws?how=all", upgrade=True)).status == 500
        by_list = await ask(app, "/ws", upgrade=True, headers=offer)
        assert isinstance(by_list, UpgradeReply) and by_list.protocol == "v2"

    handler = define_websocket_handler(upgrade=settle_later if is_async else settle, protocols=["v3", "v2"])
    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/ws": handler}), check)


def test_an_upgrade_that_takes_too_long_is_refused() -> None:
    async def slow(event: Event) -> None:
        await asyncio.Event().wait()

    async def check(app: App) -> None:
        reply = await full(app, "/ws", upgrade=True)
        assert reply.status == 503 and header(reply, "retry-after") == "1"

    handler = define_websocket_handler(upgrade=slow)
    run_app(make_app({"/ws": handler}, timeouts=Timeouts(upgrade=0.01)), check)


def test_compression_is_chosen_by_upgrade_then_route_then_settings() -> None:
    own = Compression(window_bits=10)
    settings = Compression(threshold=9)

    def choose(event: Event) -> UpgradeResult | None:
        chosen = {"on": True, "off": False, "own": own, "bad": "yes"}
        how = event.query.get("how")
        return None if how is None else UpgradeResult(compress=chosen[how])  # type: ignore[arg-type]

    def routes(compress: bool | Compression | None) -> dict[str, Any]:
        return {"/ws": define_websocket_handler(upgrade=choose, compress=compress)}

    async def chosen(app: App, target: str) -> Compression | None:
        reply = await ask(app, target, upgrade=True)
        assert isinstance(reply, UpgradeReply)
        return reply.compress

    for by_app in (False, True):
        for by_route in (None, False, True, own):

            async def check(app: App, by_app: bool = by_app, by_route: Any = by_route) -> None:
                default = settings if by_app else None
                assert await chosen(app, "/ws") == {None: default, False: None, True: settings}.get(
                    by_route, own
                )
                assert await chosen(app, "/ws?how=on") == settings
                assert await chosen(app, "/ws?how=off") is None
                assert await chosen(app, "/ws?how=own") == own
                assert (await full(app, "/ws?how=bad", upgrade=True)).status == 500

            run_app(make_app(routes(by_route), compress=by_app, compression=settings), check)
