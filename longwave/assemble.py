"""Puts config, routes, app, web and asgi together: `create_app`, and `App` as a user holds it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from longwave.app import app as base
from longwave.app.app import Source
from longwave.app.event import Event
from longwave.app.exchange import Exchange
from longwave.app.handlers import Middleware, Plugin
from longwave.app.hooks import WebSocketHandler
from longwave.app.iterators import BodyStream
from longwave.app.route import Route, route_of_module, route_of_value
from longwave.app.runtime import Clock
from longwave.backplane.siblings import NOT_SHARED, Claim
from longwave.config import Settings, load_settings, settings_from_values
from longwave.contract import Application, FullReply, Reply, StreamReply
from longwave.errors import HTTPError, RouteError
from longwave.hub.drivers import Backplane
from longwave.routing.files import RouteFile, scan, scan_ordered
from longwave.routing.modules import Loader, ModuleFailure
from longwave.routing.table import Match, parse_route_key
from longwave.web.static import StaticFiles, StaticReply

if TYPE_CHECKING:
    from longwave.asgi.app import AsgiApp

__all__ = ["App", "Code", "Problem", "Project", "create_app"]

error_log = logging.getLogger("longwave.error")

SERVER = Path("src") / "server"

Ordered = TypeVar("Ordered", Middleware, Plugin)


class Problem(Struct, frozen=True):
    """A route file that could not be loaded: what dev shows at its path."""

    source: str
    pattern: str
    error: RouteError | ModuleFailure


class Code(Struct, frozen=True):
    """What the files of a project offer in one generation of its modules."""

    routes: list[Route]
    middleware: list[Middleware]
    problems: list[Problem]
    made: Mapping[RouteFile | Path, tuple[ModuleType, Route | Middleware]]
    """Routes and middleware by their files, each with the module that it was made of."""


class Project:
    """The folder of a project: what loads its modules, and what its files offer.

    `plugins` are the files that ran once. In dev a route file that cannot be loaded is a problem among
    others; one that was loaded before raises.
    """

    def __init__(self, root: Path, dev: bool) -> None:
        self.loader = Loader(root)
        self.plugins: list[Path] = []
        self.code = Code([], [], [], {})
        self._folder = root / SERVER
        self._dev = dev

    def load_plugins(self) -> list[Plugin]:
        """Load the plugins; raises `RouteError`."""
        found = []
        for name, path in self.plugin_files():
            found.append(_offered(Plugin, self.loader.load(path), path, name, ("plugin", "handler")))
            self.plugins.append(path)
        return found

    def plugin_files(self) -> list[tuple[str, Path]]:
        """Return names and files of the plugins that there are now."""
        return scan_ordered(self._folder / "plugins", root=self.loader.root)

    def read(self, load: Callable[[Path], ModuleType]) -> Code:
        """Return what the files offer now, by their modules as `load` gives them.

        What is of the same module as in `code` is the same object. Raises `RouteError`.
        """
        made: dict[RouteFile | Path, tuple[ModuleType, Route | Middleware]] = {}
        code = Code([], [], [], made)
        for name, path in scan_ordered(self._folder / "middleware", root=self.loader.root):
            module = load(path)
            names = ("middleware", "handler")
            layer = self._made(path, module) or _offered(Middleware, module, path, name, names)
            made[path] = (module, layer)
            code.middleware.append(layer)
        for file in scan(self._folder / "routes", mode="dev" if self._dev else "prod", root=self.loader.root):
            source = str(SERVER / "routes" / file.name)
            try:
                module = load(file.path)
                route = self._made(file, module) or route_of_module(
                    module, file.pattern, file.method, source, watch=self._dev
                )
                made[file] = (module, route)
                code.routes.append(route)
            except (RouteError, ModuleFailure) as error:
                if not self._dev or file in self.code.made:
                    raise
                code.problems.append(Problem(source, file.pattern, error))
                code.routes.append(_broken_route(file, source, error))
        return code

    def _made(self, file: RouteFile | Path, module: ModuleType) -> Any:
        before, value = self.code.made.get(file, (None, None))
        return value if before is module else None


class App(base.App):
    """A Longwave application, for `longwave start` and any ASGI server as it is."""

    def __init__(self, routes: Iterable[Route] = (), **options: Any) -> None:
        self.settings: Settings = options.pop("settings")
        self.project: Project | None = options.pop("project", None)
        self.problems: list[Problem] = []
        """Route files that could not be loaded (dev)."""
        self._own = list(routes), list(options.pop("middleware", ()))
        code = Code([], [], [], {}) if self.project is None else self.project.code
        super().__init__((), **options)
        self.offer(code)
        self.served: Application = self
        """What a server is given: the app, or the app as its inspector sees it."""
        self._claim = Claim(self.settings.root) if self.project is not None and not self.dev else None

    def offer(self, code: Code) -> Exchange:
        """Serve what a project's files offer, beside what the app was made with.

        Raises `RouteError` for two routes of one path and method.
        """
        routes, middleware = self._own
        exchange = self.set_routes([*code.routes, *routes], [*code.middleware, *middleware])
        self.problems = code.problems
        if self.project is not None:
            self.project.code = code
        return exchange

    @cached_property
    def asgi(self) -> AsgiApp:
        """The app behind ASGI."""
        from longwave.asgi.app import AsgiApp  # `longwave start` serves without it

        served = AsgiApp(self.served, self.limits, self.timeouts)
        self.server_stats = served.stats
        return served

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope (ASGI 3.0)."""
        await self.asgi(scope, receive, send)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Start and stop the app with the application that it is mounted in."""
        return self.asgi.lifespan()

    async def startup(self) -> None:
        """Start as `app.App` does.

        Warn when another process serves the same project and shares nothing.
        """
        await super().startup()
        if self._claim is not None and self._backplane is None and not self._claim.take():
            error_log.warning(NOT_SHARED, self.settings.root)

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
    project: Project | None = None
    loaded: list[Route] = []
    layers = [item if isinstance(item, Middleware) else Middleware(item) for item in middleware]
    starters = [item if isinstance(item, Plugin) else Plugin(item) for item in plugins]
    if root is not None:
        project = Project(settings.root, dev)
        starters = [*project.load_plugins(), *starters]
        project.code = project.read(project.loader.load)
    for key, value in (routes or {}).items():
        method, pattern = parse_route_key(key)
        loaded.append(route_of_value(value, pattern, method, f"routes[{key!r}]", watch=dev))
    app = App(
        loaded,
        settings=settings,
        project=project,
        middleware=layers,
        plugins=starters,
        static=_files(settings) if root is not None else None,
        limits=settings.limits,
        timeouts=settings.timeouts,
        websocket=settings.features.websocket,
        compress=settings.compression.websocket,
        compression=settings.compression,
        origins=settings.security.origins,
        require_origin=settings.security.require_origin,
        trusted_proxies=settings.security.forwarded_allow_ips,
        dev=dev,
        backplane=backplane,
        on_error=on_error,
        clock=clock,
    )
    if hooks is not None:
        app.use_hooks(hooks)
    if not dev and settings.inspector.enabled and settings.inspector.token is not None:
        _inspect(app, settings.inspector.token)
    return app


def _inspect(app: App, token: str) -> None:
    """Let whoever has a token see what goes on."""
    from longwave.inspector.access import TokenAccess  # nothing of it is loaded where nobody asks
    from longwave.inspector.activity import Activity
    from longwave.inspector.inspector import Inspector
    from longwave.inspector.observed import Observed

    activity = Activity()
    Inspector(app, activity, TokenAccess(token), mode=app.settings.mode, root=app.settings.root)
    app.served = Observed(app, activity)


def _settings(root: str | os.PathLike[str] | None, config: Mapping[str, Any]) -> Settings:
    if root is None:
        return settings_from_values(config)
    return load_settings(root, command="start", overrides=config, overrides_source="create_app(...)")


def _broken_route(file: RouteFile, source: str, error: Exception) -> Route:
    """Return a route that shows why its file cannot be loaded, to HTTP and to upgrades."""
    route = Route(file.pattern, source)

    def show(event: Event) -> Any:
        raise HTTPError(500, str(error)) from error

    route.add_http(None, show, False)
    route.upgrade_with = show
    return route


def _offered(
    kind: type[Ordered], module: ModuleType, path: Path, name: str, names: tuple[str, ...]
) -> Ordered:
    """Return what the file of a middleware or plugin offers by one of these names."""
    offered = next((value for it in names if (value := getattr(module, it, None)) is not None), None)
    if offered is None:
        raise RouteError(
            f"{path}: expected a function called {' or '.join(f'`{it}`' for it in names)}, found none"
        )
    return offered if isinstance(offered, kind) else kind(offered, name)


def _files(settings: Settings) -> Source | None:
    """Return what serves files: a front end, if there is one, owns all of them."""
    vite = settings.frontend.vite
    if not vite.enabled:
        return _static(settings)
    if settings.command == "dev":
        return None
    from longwave.web.frontend import BuiltFrontend

    return BuiltFrontend(vite.root / vite.dist)


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
