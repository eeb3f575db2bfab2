"""Routes that are exchanged under open peers and streams."""

from __future__ import annotations

from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.event_stream import create_event_stream
from longwave.app.exchange import Exchange
from longwave.app.handlers import Middleware
from longwave.app.hooks import define_websocket_handler
from longwave.app.route import Route, route_of_value
from longwave.errors import RouteError
from tests.app.harness import connect, full, make_app, open_stream, run_app


def says(text: str) -> Any:
    return define_websocket_handler(message=lambda peer, message: peer.send(text))


def streams(event: Event) -> Any:
    return create_event_stream(event)


def streams_too(event: Event) -> Any:
    return create_event_stream(event)


def routes(**values: Any) -> list[Route]:
    return [
        route_of_value(value, f"/{name}", None if name == "ws" else "GET", "")
        for name, value in values.items()
    ]


def test_open_peers_have_the_new_hooks_and_keep_all_else() -> None:
    async def test(app: App) -> None:
        peer, link = await connect(app)
        peer.context["name"] = "Ann"
        peer.subscribe("room")
        route = peer._route
        assert app.set_routes(routes(ws=says("new"))) == Exchange(kept=1)
        peer.received("x", True)
        assert link.messages == ["new"]
        assert peer.context == {"name": "Ann"}
        assert peer.topics == {"room"}
        assert link.closed_with is None
        assert peer._route is route
        again, second = await connect(app)
        again.received("x", True)
        assert (second.messages, again._route) == (["new"], route)

    run_app(make_app({"/ws": says("old")}), test)


def test_peers_of_a_route_that_is_gone_are_closed() -> None:
    async def test(app: App) -> None:
        peer, link = await connect(app)
        assert app.set_routes(routes(other=streams)) == Exchange(closed=1)
        assert link.closed_with == (1012, "")
        peer.closed(1012, "")
        assert app.stats()["peers"] == 0

    run_app(make_app({"/ws": says("old")}), test)


def test_a_route_that_comes_back_is_served_again() -> None:
    async def test(app: App) -> None:
        (same,) = routes(ws=says("same"))
        app.set_routes([same])
        app.set_routes([])
        app.set_routes([same])
        peer, link = await connect(app)
        peer.received("x", True)
        assert (link.messages, link.closed_with) == (["same"], None)

    run_app(make_app({"/ws": says("old")}), test)


def test_streams_end_only_where_their_code_is_another() -> None:
    async def test(app: App) -> None:
        kept = routes(kept=streams)
        app.set_routes([*kept, *routes(sse=streams)])
        stays, staying, _ = await open_stream(app, "/kept")
        ends, ended, _ = await open_stream(app, "/sse")
        ends.pause()
        await ends.push("kept back")
        assert app.set_routes([*kept, *routes(sse=streams_too)]) == Exchange(ended=1)
        assert ended.text == "data: kept back\n\nretry: 100\n\n"
        assert (ends.is_closed, stays.is_closed, staying.text) == (True, False, "")
        assert app.set_routes([]) == Exchange(ended=1)
        assert stays.is_closed

    run_app(make_app({}), test)


def test_streams_of_middleware_end_with_it() -> None:
    async def test(app: App) -> None:
        app.set_routes([], [Middleware(streams)])
        stream, _, _ = await open_stream(app, "/anything")
        assert app.set_routes([]) == Exchange()
        assert app.set_routes([], [Middleware(streams_too)]) == Exchange(ended=1)
        assert stream.is_closed

    run_app(make_app({}), test)


def test_middleware_stays_unless_another_is_given() -> None:
    async def test(app: App) -> None:
        def first(event: Event) -> str:
            return "first"

        app.set_routes([], [Middleware(first)])
        app.set_routes(routes(sse=streams))
        assert (await full(app, "/sse")).body == b"first"
        app.set_routes([], [])
        assert (await full(app, "/sse")).status == 404

    run_app(make_app({}), test)


def test_routes_that_cannot_be_change_nothing() -> None:
    async def test(app: App) -> None:
        peer, link = await connect(app)
        generation = app.generation
        with pytest.raises(RouteError):
            app.set_routes(routes(ws=says("one")) + routes(ws=says("two")))
        peer.received("x", True)
        assert (link.messages, link.closed_with, app.generation) == (["old"], None, generation)

    run_app(make_app({"/ws": says("old")}), test)
