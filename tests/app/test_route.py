from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from longwave.app.handlers import define_event_handler
from longwave.app.hooks import WebSocketHandler, define_websocket_handler
from longwave.app.route import WEBSOCKET, Route, route_of_module, route_of_value
from longwave.contract import Reply, Request
from longwave.errors import RouteError


def module(**values: Any) -> ModuleType:
    made = ModuleType("routes.here")
    for name, value in values.items():
        if callable(value) and hasattr(value, "__module__"):
            value.__module__ = "routes.here"
        setattr(made, name, value)
    return made


def offer(method: str | None = None, **values: Any) -> Route:
    return route_of_module(module(**values), "/p", method, "here.py")


class Admin:
    async def handle(self, request: Request, prefix: str | None = None) -> Reply:
        raise NotImplementedError

    async def startup(self) -> None: ...

    async def shutdown(self) -> None: ...


class Chat(WebSocketHandler):
    pass


def test_what_a_module_may_offer() -> None:
    assert set(offer(get=lambda event: 1, post=lambda event: 2).endpoints) == {"GET", "POST"}
    assert set(offer(handler=lambda event: 1).endpoints) == {None}
    assert set(offer("GET", handler=lambda event: 1).endpoints) == {"GET"}
    assert set(offer("GET", get=lambda event: 1).endpoints) == {"GET"}
    both = offer(get=lambda event: 1, websocket=define_websocket_handler())
    assert both.takes_upgrades and set(both.endpoints) == {"GET"}
    assert offer(handler=Chat).takes_upgrades and offer(websocket=Chat()).takes_upgrades
    assert str(both) == "/p (here.py)" and str(Route("/p", "")) == "/p"


def test_what_a_module_imported_is_no_route() -> None:
    made = module(handler=lambda event: 1)
    made.get = print  # type: ignore[attr-defined]
    made.post = define_event_handler(lambda event: 1)  # type: ignore[attr-defined]
    made.websocket = "no handler"  # type: ignore[attr-defined]
    assert set(route_of_module(made, "/p", None, "here.py").endpoints) == {None, "POST"}


@pytest.mark.parametrize(
    ("values", "method", "words"),
    [
        ({"x": 1}, None, "here.py is no route.*found: x"),
        ({}, None, "found: nothing"),
        ({"handler": 7}, None, "found 7"),
        ({"post": lambda event: 1}, "GET", "serves GET by its name.*`post`"),
        ({"handler": define_websocket_handler()}, "GET", "cannot be limited to GET"),
        (
            {"handler": define_websocket_handler(), "websocket": define_websocket_handler()},
            None,
            "two WebSocket handlers",
        ),
        ({"get": lambda a, b: 1}, None, "here.py: .*needs 2"),
        ({"handler": Admin()}, None, r"wants a path like /admin/\[\.\.\.path\]"),
    ],
)
def test_what_is_wrong_names_the_file(values: dict[str, Any], method: str | None, words: str) -> None:
    with pytest.raises(RouteError, match=words):
        offer(method, **values)


def test_values_of_the_explicit_table() -> None:
    assert set(route_of_value(lambda event: 1, "/p", "POST", "table").endpoints) == {"POST"}
    assert route_of_value(Chat, "/p", None, "table").takes_upgrades
    assert route_of_value(Chat, "/p", WEBSOCKET, "table").takes_upgrades
    mount = Admin()
    route = route_of_value(mount, "/admin/[...path]", None, "table")
    assert route.mount is mount and route.takes_upgrades and set(route.endpoints) == {None}
    with pytest.raises(RouteError, match=r"table: .*needs 2"):
        route_of_value(lambda a, b: 1, "/p", None, "table")
    with pytest.raises(RouteError, match="wants a path"):
        route_of_value(mount, "/[id]/[...path]", None, "table")


def test_hooks_are_the_routes_own_until_the_app_has_some() -> None:
    route = route_of_value(define_websocket_handler(open=lambda peer: None), "/p", None, "")
    assert route.hooks is route.own_hooks and route.hooks.open is not None
