"""Puts config, routes, app, web and asgi together: `create_app`, and `App` as a user holds it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longwave.app import app as base
from longwave.app.app import Source
from longwave.app.body_stream import BodyStream
from longwave.app.event import Event
from longwave.app.handlers import Middleware, Plugin
from longwave.app.hooks import WebSocketHandler
from longwave.app.route import Route, route_of_module, route_of_value
from longwave.app.runtime import Clock
from longwave.asgi import AsgiApp
from longwave.backplane.siblings import Claim
from longwave.config import Settings, load_settings, settings_from_values
from longwave.contract import FullReply, Reply, StreamReply
from longwave.errors import HTTPError, RouteError
from longwave.hub.drivers import Backplane
from longwave.routing.files import RouteFile, scan, scan_ordered
from longwave.routing.modules import Loader, ModuleFailure
from longwave.routing.table import Match, parse_route_key
from longwave.web.frontend import BuiltFrontend
from longwave.web.static import StaticFiles, StaticReply

__all__ = ["App", "Problem", "create_app"]

error_log = logging.getLogger("longwave.error")

SERVER = Path("src") / "server"


@dataclass(frozen=True, slots=True)
class Problem:
    """A route file that could not be loaded: what dev shows at its path."""

    source: str
    pattern: str
    error: RouteError | ModuleFailure


class App(base.App):
    """A Longwave application, for `longwave start` and any ASGI server as it is."""

    def __init__(self, routes: Iterable[Route] = (), **options: Any) -> None:
        self.settings: Settings = options.pop("settings")
        self.loader: Loader | None = options.pop("loader", None)
        self.problems: list[Problem] = options.pop("problems", [])
        super().__init__(routes, **options)
        self._asgi = AsgiApp(self, self.limits, self.timeouts)
        self._claim = Claim(self.settings.root) if self.loader is not None and not self.dev else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope (ASGI 3.0)."""
        await self._asgi(scope, receive, send)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Start and stop the app with the application that it is mounted in."""
        return self._asgi.lifespan()

    async def startup(self) -> None:
        """Start as `app.App` does.

        Warn when another process serves the same project and shares nothing.
        """
        await super().startup()
        if self._claim is not None and self._backplane is None and not self._claim.take():
            error_log.warning(
                "another process serves %s on this machine: the two do not share publications. "
                "Run one process, or give create_app() a backplane",
                self.settings.root,
            )

    async def shutdown(self) -> None:
        """Stop as `app.App` does."""
        try:
            await super().shutdown()
        finally:
            if self._claim is not None:
                self._claim.release()


def create_app(
    root: str | os.PathLike[str] | None = None,
    *,
    routes: Mapping[str, Any] | None = None,
    middleware: Sequence[Callable[..., Any]] = (),
    plugins: Sequence[Callable[..., Any] | Plugin] = (),
    hooks: WebSocketHandler | None = None,
    settings: Settings | None = None,
    backplane: Backplane | None = None,
    on_error: Callable[[BaseException, str], None] | None = None,
    clock: Clock | None = None,
    **config: Any,
) -> App:
    """Make an application of a project folder, of a table of routes, or of both.

    `routes` maps `"/ws/chat"` or `"GET /sse"` to handlers; `config` takes the sections of `define_config`.
    `hooks` are WebSocket hooks that run before those of every route. Raises `ConfigError` and `RouteError`.
    """
    if settings is None:
        settings = _settings(root, config)
    dev = settings.command == "dev"
    loader: Loader | None = None
    problems: list[Problem] = []
    loaded: list[Route] = []
    layers = [item if isinstance(item, Middleware) else Middleware(item) for item in middleware]
    starters = [item if isinstance(item, Plugin) else Plugin(item) for item in plugins]
    if root is not None:
        folder = settings.root / SERVER
        loader = Loader(settings.root)
        layers = [*_load_middleware(loader, folder), *layers]
        starters = [*_load_plugins(loader, folder), *starters]
        loaded, problems = _load_routes(loader, folder, dev)
    for key, value in (routes or {}).items():
        method, pattern = parse_route_key(key)
        loaded.append(route_of_value(value, pattern, method, f"routes[{key!r}]", watch=dev))
    app = App(
        loaded,
        settings=settings,
        loader=loader,
        problems=problems,
        middleware=layers,
        plugins=starters,
        static=_files(settings) if root is not None else None,
        limits=settings.limits,
        timeouts=settings.timeouts,
        websocket=settings.features.websocket,
        compress=settings.compression.websocket,
        compression=settings.compression,
        origins=settings.security.origins,
        trusted_proxies=settings.security.forwarded_allow_ips,
        dev=dev,
        backplane=backplane,
        on_error=on_error,
        clock=clock,
    )
    if hooks is not None:
        app.use_hooks(hooks)
    return app


def _settings(root: str | os.PathLike[str] | None, config: Mapping[str, Any]) -> Settings:
    if root is None:
        return settings_from_values(config)
    return load_settings(root, command="start", overrides=config, overrides_source="create_app(...)")


def _load_routes(loader: Loader, folder: Path, dev: bool) -> tuple[list[Route], list[Problem]]:
    routes: list[Route] = []
    problems: list[Problem] = []
    for file in scan(folder / "routes", mode="dev" if dev else "prod", root=loader.root):
        source = str(SERVER / "routes" / file.name)
        try:
            module = loader.load(file.path)
            routes.append(route_of_module(module, file.pattern, file.method, source, watch=dev))
        except (RouteError, ModuleFailure) as error:
            if not dev:
                raise
            problems.append(Problem(source, file.pattern, error))
            routes.append(_broken_route(file, source, error))
    return routes, problems


def _broken_route(file: RouteFile, source: str, error: Exception) -> Route:
    """Return a route that shows why its file cannot be loaded, to HTTP and to upgrades."""
    route = Route(file.pattern, source)

    def show(event: Event) -> Any:
        raise HTTPError(500, str(error)) from error

    route.add_http(None, show, False)
    route.upgrade_with = show
    return route


def _load_middleware(loader: Loader, folder: Path) -> list[Middleware]:
    found = []
    for name, path in scan_ordered(folder / "middleware", root=loader.root):
        offered = _offered(loader.load(path), path, ("middleware", "handler"))
        found.append(offered if isinstance(offered, Middleware) else Middleware(offered, name))
    return found


def _load_plugins(loader: Loader, folder: Path) -> list[Plugin]:
    found = []
    for name, path in scan_ordered(folder / "plugins", root=loader.root):
        offered = _offered(loader.load(path), path, ("plugin", "handler"))
        found.append(offered if isinstance(offered, Plugin) else Plugin(offered, name))
    return found


def _offered(module: Any, path: Path, names: tuple[str, ...]) -> Any:
    for candidate in names:
        value = getattr(module, candidate, None)
        if value is not None:
            return value
    raise RouteError(f"{path}: expected a function called {' or '.join(f'`{n}`' for n in names)}, found none")


def _files(settings: Settings) -> Source | None:
    """Return what serves files: a front end, if there is one, owns all of them."""
    vite = settings.frontend.vite
    if not vite.enabled:
        return _static(settings)
    return None if settings.command == "dev" else BuiltFrontend(vite.root / vite.dist)


def _static(settings: Settings) -> Source:
    files = StaticFiles(settings.root / "public", settings.root / "index.html")

    def lookup(event: Event, match: Match[Any] | None) -> Reply | None:
        found = None if event.is_upgrade else files.find(event.path, event.method)
        if found is None:
            return None
        reply = files.respond(found, event.fields, event.method)
        if isinstance(reply, StaticReply):
            stream = BodyStream(event.app.runtime, reply.body)
            return StreamReply(reply.status, reply.headers, stream, "body")
        assert isinstance(reply, FullReply)
        return reply

    return lookup
