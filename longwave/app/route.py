"""A route: one path, what it does for HTTP methods and for WebSockets, and where it came from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any, Protocol, runtime_checkable
from weakref import ref

from longwave.app.event import Event
from longwave.app.handlers import EventHandler
from longwave.app.hooks import Hooks, WebSocketHandler, compile_hooks
from longwave.contract import Reply, Request
from longwave.errors import LongwaveError, RouteError

__all__ = ["METHODS", "WEBSOCKET", "Endpoint", "Mount", "Route", "route_of_module", "route_of_value"]

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
WEBSOCKET = "WEBSOCKET"
"""The key of a route's WebSocket side beside its HTTP methods."""

Endpoint = Callable[[Any], Any]


@runtime_checkable
class Mount(Protocol):
    """Another application below a path of ours, as `mount_asgi` makes it."""

    def handle(self, request: Request, prefix: str | None = None) -> Awaitable[Reply]:
        """Answer one request; `prefix` is the path that it is mounted at."""

    async def startup(self) -> None:
        """Start it, with our own start-up."""

    async def shutdown(self) -> None:
        """Stop it, with our own shutdown."""


class Route:
    """What is served at a path.

    `hooks` is read at each message, so that a reload reaches open sockets.
    """

    __slots__ = (
        "_former",
        "endpoints",
        "handler",
        "hooks",
        "is_gone",
        "mount",
        "own_hooks",
        "pattern",
        "source",
        "upgrade_with",
    )

    def __init__(self, pattern: str, source: str) -> None:
        self.pattern = pattern
        self.source = source
        self.endpoints: dict[str | None, Endpoint] = {}
        self.handler: WebSocketHandler | None = None
        self.own_hooks = self.hooks = Hooks()
        """`hooks` are the route's own behind those of the whole app."""
        self.mount: Mount | None = None
        self.upgrade_with: Endpoint | None = None
        """Answers upgrades in place of a WebSocket handler: a mount, or the error of a broken file."""
        self.is_gone = False
        """Whether it is served no more."""
        self._former: list[ref[WebSocketHandler]] = []

    def __str__(self) -> str:
        return f"{self.pattern} ({self.source})" if self.source else self.pattern

    def add_http(self, method: str | None, value: Any, watch: bool) -> None:
        """Serve a method, or (None) all that nothing else serves."""
        handler = value if isinstance(value, EventHandler) else EventHandler(value)
        self.endpoints[method] = handler.compile(watch=watch)

    def add_mount(self, mount: Mount) -> None:
        """Serve everything below the path with another application.

        The pattern ends in a catch-all.
        """
        prefix, _, rest = self.pattern.rpartition("/")
        if not rest.startswith("[...") or "[" in prefix:
            raise RouteError(f"{self}: a mounted application wants a path like /admin/[...path]")

        def serve(event: Event) -> Any:
            return mount.handle(event.request, prefix)

        self.mount = mount
        self.endpoints[None] = self.upgrade_with = serve

    @property
    def takes_upgrades(self) -> bool:
        """Whether a request to become a WebSocket has an answer here."""
        return self.handler is not None or self.upgrade_with is not None

    def serves(self, handler: WebSocketHandler) -> bool:
        """Whether this is the route of a handler.

        Also of one that a reload replaced, which old code has.
        """
        return self.handler is handler or any(former() is handler for former in self._former)

    def become(self, new: Route) -> None:
        """Take over what a new route of the same path does: open sockets have this one."""
        if self.handler is not None and self.handler is not new.handler:
            self._former = [former for former in self._former if former() is not None]
            self._former.append(ref(self.handler))
        self.source, self.endpoints, self.handler = new.source, new.endpoints, new.handler
        self.own_hooks = self.hooks = new.own_hooks
        self.mount, self.upgrade_with = new.mount, new.upgrade_with

    def add_websocket(self, handler: WebSocketHandler, watch: bool) -> None:
        """Serve WebSockets."""
        self.handler = handler
        self.own_hooks = self.hooks = compile_hooks(handler, watch=watch)


def route_of_module(
    module: ModuleType, pattern: str, method: str | None, source: str, *, watch: bool = False
) -> Route:
    """Return the route that a module offers.

    By `handler`, functions named after methods, `websocket`. Raises `RouteError` that names the file and says
    what was found.
    """
    route = Route(pattern, source)
    try:
        _offer(route, module, method, watch)
    except RouteError:
        raise
    except LongwaveError as error:
        raise RouteError(f"{source}: {error}") from error
    if not route.endpoints and route.handler is None:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise RouteError(
            f"{source} is no route: it has none of `handler`, `websocket`, {', '.join(METHODS)}; "
            f"found: {', '.join(public) or 'nothing'}"
        )
    return route


def route_of_value(
    value: Any, pattern: str, method: str | None, source: str, *, watch: bool = False
) -> Route:
    """Return the route of one value of the explicit table.

    Raises `RouteError` for what cannot be one.
    """
    route = Route(pattern, source)
    try:
        _place(route, value, method, watch)
    except RouteError:
        raise
    except LongwaveError as error:
        raise RouteError(f"{source or pattern}: {error}") from error
    return route


def _offer(route: Route, module: ModuleType, method: str | None, watch: bool) -> None:
    handler = getattr(module, "handler", None)
    if handler is not None:
        _place(route, handler, method, watch)
    for name in METHODS:
        function = getattr(module, name, None)
        if not _is_own(function, module):
            continue
        if method is not None and name.upper() != method:
            raise RouteError(
                f"{route.source} serves {method} by its name, but has a function `{name}`: "
                "rename the file without the method, or take the function away"
            )
        route.add_http(name.upper(), function, watch)
    websocket = getattr(module, "websocket", None)
    if _is_websocket(websocket):
        if route.handler is not None:
            raise RouteError(f"{route.source} has two WebSocket handlers: `handler` and `websocket`")
        route.add_websocket(_instance(websocket), watch)


def _place(route: Route, value: Any, method: str | None, watch: bool) -> None:
    if _is_websocket(value):
        if method not in (None, WEBSOCKET):
            raise RouteError(f"{route}: a WebSocket handler cannot be limited to {method}")
        route.add_websocket(_instance(value), watch)
    elif isinstance(value, Mount):
        route.add_mount(value)
    elif callable(value):
        route.add_http(method, value, watch)
    else:
        raise RouteError(
            f"{route}: expected a define_websocket_handler(...), a define_event_handler(...), a function "
            f"or a mount_asgi(...), found {value!r}"
        )


def _is_own(function: Any, module: ModuleType) -> bool:
    if isinstance(function, EventHandler):
        return True
    # `from httpx import get` at the top of a route file is no route.
    return callable(function) and getattr(function, "__module__", module.__name__) == module.__name__


def _is_websocket(value: Any) -> bool:
    return isinstance(value, WebSocketHandler) or (
        isinstance(value, type) and issubclass(value, WebSocketHandler)
    )


def _instance(value: Any) -> WebSocketHandler:
    handler: WebSocketHandler = value() if isinstance(value, type) else value
    return handler
