"""The application: picks the route of a request and runs it, middleware first (`contract.Application`)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from msgspec import Struct

from longwave.app.dispatch import Dispatcher
from longwave.app.error_reply import encode_reply, refuse_stream, wants_stream
from longwave.app.event import Event
from longwave.app.exchange import Exchange, move_on, pair_routes
from longwave.app.handlers import Middleware, Plugin
from longwave.app.hooks import Hooks, WebSocketHandler, combine_hooks, compile_hooks
from longwave.app.route import WEBSOCKET, Endpoint, Route
from longwave.app.runtime import Clock, Runtime
from longwave.app.tasks import is_being_cancelled
from longwave.app.values import decoder_for, encode_value
from longwave.contract import FullReply, Reply, Request
from longwave.core.forwarded import TrustedProxies
from longwave.core.paths import decode_path
from longwave.errors import HTTPError, RequestError
from longwave.hub.drivers import Backplane
from longwave.limits import Limits, Timeouts
from longwave.routing.table import Match, Table
from longwave.types import Compression

__all__ = ["App", "RouteInfo", "Source", "current", "publish", "running"]

error_log = logging.getLogger("longwave.error")

current: ContextVar[App] = ContextVar("longwave_app")
"""The app of the request, hook or task that runs."""
running: dict[App, None] = {}
"""The apps of this process that were started and not stopped."""

Source = Callable[[Event, "Match[Any] | None"], "Awaitable[Any] | Any"]
"""Answers what is no route: static files, a proxy. Given the event and the route that there is all the same;
returns a response, or None to let others answer."""


class RouteInfo(Struct, frozen=True):
    """One line of `longwave routes`."""

    method: str | None
    pattern: str
    kind: str
    source: str


class App:
    """Routes, middleware, plugins, and the hub that peers and streams share."""

    def __init__(
        self,
        routes: Iterable[Route] = (),
        *,
        middleware: Sequence[Middleware] = (),
        plugins: Sequence[Plugin] = (),
        static: Source | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        websocket: bool = True,
        compress: bool = False,
        compression: Compression | None = None,
        origins: Sequence[str] = (),
        require_origin: bool = False,
        trusted_proxies: Sequence[str] = (),
        dev: bool = False,
        backplane: Backplane | None = None,
        on_error: Callable[[BaseException, str], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.timeouts = timeouts or Timeouts()
        self.websocket = websocket
        self.compress = compress
        self.compression = compression or Compression()
        self.origins = tuple(origins)
        self.require_origin = require_origin
        self._proxies = TrustedProxies(trusted_proxies)
        self.dev = dev
        self.node = str(uuid4())
        self.state: dict[str, Any] = {}
        self.server_stats: Callable[[], Mapping[str, int]] | None = None
        """Counters of the server below, set by who starts it."""
        self._plugins = list(plugins)
        self._backplane = backplane
        self._on_error = on_error
        self._clock = clock
        self._runtime: Runtime | None = None
        self._app_hooks: Hooks | None = None
        self._closers: list[Callable[[], Any]] = []
        self._before: tuple[Hooks | None, list[Callable[[], Any]]] = (None, [])
        self._starting: asyncio.Event | None = None
        self._is_ready = self._is_stopping = False
        self._routes: list[Route] = []
        self._middleware: tuple[Middleware, ...] = ()
        self._layers: tuple[Middleware, ...] = ()
        self._claims: tuple[Source, ...] = ()
        self._sources: tuple[Source, ...] = ()
        self._files = () if static is None else (static,)
        self.generation = 0
        """How often the routes were set."""
        self.table: Table[Endpoint | Route] = Table()
        self.set_routes(routes, middleware)

    # What a developer uses.

    def publish(
        self,
        topic: str,
        data: Any,
        *,
        namespace: str | None = None,
        of: WebSocketHandler | None = None,
        compress: bool | None = None,
    ) -> None:
        """Publish to every subscriber of a topic, from any thread.

        WebSocket peers and event streams alike. All namespaces unless one is named, by text or by its
        handler. Raises `TypeError` or `ValueError` for data or a topic that cannot be sent, `RuntimeError`
        when the app does not run. `compress` as for `Peer.send`.
        """
        payload, is_text = encode_value(data)
        runtime = self.runtime
        runtime.hub.check(topic)
        if of is not None:
            namespace = self.namespace_of(of)
        if runtime.is_here():
            runtime.publish(topic, payload, is_text, namespace, None, compress)
        else:
            runtime.from_thread(runtime.publish, topic, payload, is_text, namespace, None, compress)

    def use_hooks(self, handler: WebSocketHandler) -> None:
        """Run the hooks of a handler before those of every route; for plugins."""
        hooks = compile_hooks(handler, watch=self.dev)
        self._app_hooks = hooks if self._app_hooks is None else combine_hooks(self._app_hooks, hooks)
        self._apply_hooks(self._routes)

    def on_shutdown(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """Call a function, sync or async, when the app stops; usable as a decorator."""
        self._closers.append(function)
        return function

    def routes(self) -> list[RouteInfo]:
        """Return what is served, one line per method and path."""
        lines: list[RouteInfo] = []
        for route in self._routes:
            for method in route.endpoints:
                lines.append(RouteInfo(method, route.pattern, "http", route.source))
            if route.handler is not None:
                lines.append(RouteInfo("GET", route.pattern, "websocket", route.source))
        return lines

    def stats(self) -> dict[str, int]:
        """Return counters of this worker: peers, streams, publications, deliveries.

        `limits.*` and `timeouts.*` are how often each was passed. On our own server its connections, requests
        and messages are there as `server.*`.
        """
        counters = self.runtime.stats()
        if self.server_stats is not None:
            for name, count in self.server_stats().items():
                if name.startswith(("limits.", "timeouts.")):
                    counters[name] += count
                else:
                    counters[f"server.{name}"] = count
        return counters

    def passed(self, name: str) -> None:
        """Count that a limit or time-out was passed."""
        if self._runtime is not None:
            self._runtime.passed[name] += 1

    @property
    def runtime(self) -> Runtime:
        """What peers and streams share; raises `RuntimeError` when the app does not run."""
        if self._runtime is None:
            raise RuntimeError("the app does not run: it was not started, or it has stopped")
        return self._runtime

    def namespace_of(self, handler: WebSocketHandler) -> str:
        """Return the namespace of a handler's peers.

        Raises `LookupError` when it has no single one.
        """
        for route in self._routes:
            if route.serves(handler):
                if handler.namespace:
                    return handler.namespace
                if "[" in route.pattern:
                    raise LookupError(
                        f"{route.pattern} has a namespace for each path: give the handler namespace=..., or "
                        "name the namespace"
                    )
                return route.pattern
        raise LookupError("this handler belongs to no route of this app")

    # Called when the table changes.

    def set_routes(self, routes: Iterable[Route], middleware: Sequence[Middleware] | None = None) -> Exchange:
        """Serve these routes from now on, behind this middleware.

        None leaves the middleware as it is. Open WebSockets whose path is served still have the new hooks
        from their next message on; the others are closed with 1012. Streams of routes that changed end, and
        their clients come back. What has begun goes on in the code that it began in. Raises `RouteError` for
        two of one path and method.
        """
        news = list(routes)
        pairs = pair_routes(self._routes, news)
        table: Table[Endpoint | Route] = Table()
        for route in news:
            for method, endpoint in route.endpoints.items():
                table.add(route.pattern, method, endpoint, route.source)
            if route.takes_upgrades:
                table.add(route.pattern, WEBSOCKET, pairs.get(route, route), route.source)
        for new, old in pairs.items():
            old.become(new)
        kept = [pairs.get(route, route) for route in news]
        for route in self._routes:
            route.is_gone = True
        for route in kept:
            route.is_gone = False
        self._apply_hooks(kept)
        before, self.table, self._routes = self.table, table, kept
        standing = self._middleware
        if middleware is not None:
            self._middleware = tuple(middleware)
        self._renew()
        self.generation += 1
        # It holds the types of the code before, and with them all of that code.
        decoder_for.cache_clear()
        if self._runtime is None:
            return Exchange()
        return move_on(self._runtime, before, table, self._middleware != standing)

    def add_source(self, source: Source) -> None:
        """Ask a source before the static files, and after those that were added before it."""
        self._sources = (*self._sources, source)
        self._renew()

    def add_claim(self, source: Source) -> None:
        """Ask a source before all else: middleware, files and routes.

        It may raise `HTTPError`.
        """
        self._claims = (*self._claims, source)
        self._renew()

    def add_plugin(self, plugin: Plugin) -> None:
        """Run one plugin more, from the next start on."""
        self._plugins.append(plugin)

    def add_layer(self, middleware: Middleware) -> None:
        """Put a layer around all that answers but claims; it outlives exchanges of code."""
        self._layers = (*self._layers, middleware)
        self._renew()

    def _renew(self) -> None:
        """Let what comes from now on be dispatched as things stand."""
        layers, sources = (*self._layers, *self._middleware), (*self._sources, *self._files)
        self._dispatcher = Dispatcher(self, self.table, layers, sources, self._claims)

    def _apply_hooks(self, routes: Iterable[Route]) -> None:
        for route in routes:
            own = route.own_hooks
            route.hooks = own if self._app_hooks is None else combine_hooks(self._app_hooks, own)

    # Called by the server (contract.Application).

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer a request: at once where nothing has to be waited for, else by a future."""
        current.set(self)
        try:
            event = self.read(request)
        except HTTPError as error:
            return encode_reply(None, error, self.dev)
        if event.path == "/_longwave/health":
            healthy = FullReply(200, [(b"content-type", b"application/json")], b'{"status":"ok"}')
            return self._dispatcher.claim(event) or healthy
        if self._is_ready:
            return self._dispatcher.handle(event)
        if self._starting is not None and request.is_upgrade:
            return self._handle_later(event, self._starting)
        return self._refuse(event)

    def read(self, request: Request) -> Event:
        """Return the event of a request, with what trusted proxies say of it.

        Raises `HTTPError` 400 for a target that is no path.
        """
        if self._proxies:
            self._believe(request)
        try:
            path, query = decode_path(request.target)
        except RequestError as error:
            raise HTTPError(error.status, error.message) from error
        return Event(self, request, path, query)

    async def _handle_later(self, event: Event, started: asyncio.Event) -> Reply:
        """Let a client that asks for a WebSocket wait for the end of the start-up."""
        try:
            async with asyncio.timeout(self.timeouts.upgrade):
                await started.wait()
        except TimeoutError:
            self.passed("timeouts.upgrade")
        if not self._is_ready:
            return self._refuse(event)
        reply = self._dispatcher.handle(event)
        return await reply if inspect.isawaitable(reply) else reply

    def _refuse(self, event: Event) -> Reply:
        if wants_stream(event):
            return refuse_stream()
        refusal = HTTPError(503, "the server is starting or stopping", headers={"retry-after": "1"})
        return encode_reply(event, refusal, self.dev)

    def _believe(self, request: Request) -> None:
        """Take over what a trusted proxy says of its client."""
        said = self._proxies.read(request.client, request.headers)
        if said is None:
            return
        request.client = said.client or request.client
        if said.scheme is not None:
            request.scheme, request.knows_scheme = said.scheme, True
        if said.host is not None:
            request.replace_header(b"host", said.host)

    async def startup(self) -> None:
        """Start the hub, connect the backplane, run the plugins.

        Raises what a plugin raises. Then what was started is ended again, the last first. Raises
        `RuntimeError` when the app runs already.
        """
        if self._runtime is not None:
            raise RuntimeError("the app runs already: an App is started once, and again after its shutdown")
        self._runtime = Runtime(
            self.limits,
            self.timeouts,
            clock=self._clock,
            backplane=self._backplane,
            node=self.node,
            on_error=self._on_error,
            dev=self.dev,
        )
        # What plugins register is for this run; the next one runs them again.
        self._before = self._app_hooks, self._closers.copy()
        started = self._starting = asyncio.Event()
        current.set(self)
        running[self] = None
        try:
            await self._runtime.start()
            for plugin in self._plugins:
                await self._run_plugin(plugin)
            for route in self._routes:
                if route.mount is not None:
                    await route.mount.startup()
                    self.on_shutdown(route.mount.shutdown)
            self._is_ready = True
        except BaseException:
            await self.shutdown()
            raise
        finally:
            self._starting = None
            started.set()

    async def shutdown(self) -> None:
        """End streams, hooks, tasks and plugins, and close the backplane.

        Each has its time: `timeouts.close` twice for hooks and tasks, `timeouts.shutdown` for the rest of a
        plugin.
        """
        runtime = self._runtime
        if runtime is None or self._is_stopping:
            return
        self._is_stopping, self._is_ready = True, False
        closers = self._closers
        try:
            # A hook may need what a plugin holds until its end.
            await runtime.settle()
            for closer in reversed(closers):
                await self._call_closer(closer)
            await runtime.settle()
        finally:
            try:
                await runtime.disconnect()
            finally:
                running.pop(self, None)
                self._runtime = None
                self._app_hooks, self._closers = self._before
                self._apply_hooks(self._routes)
                self._is_stopping = False

    async def _call_closer(self, closer: Callable[[], Any]) -> None:
        try:
            result = closer()
            if inspect.isawaitable(result):
                async with asyncio.timeout(self.timeouts.shutdown):
                    await result
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            error_log.error("shutdown of %r failed", closer, exc_info=error)
        except Exception as error:
            error_log.error("shutdown of %r failed", closer, exc_info=error)

    async def _run_plugin(self, plugin: Plugin) -> None:
        result = plugin.function(self)
        if inspect.isasyncgen(result):
            await anext(result, None)
            self.on_shutdown(_Rest(plugin, result))
        elif inspect.isawaitable(result):
            await result


def publish(
    topic: str,
    data: Any,
    *,
    namespace: str | None = None,
    of: WebSocketHandler | None = None,
    compress: bool | None = None,
) -> None:
    """Publish to every subscriber of a topic, by the app that this code runs in.

    As `App.publish`. Outside of any app's code the only one that runs is meant; raises `LookupError` when
    there is none, or more than one.
    """
    app = current.get(None)
    if app is None or app not in running:
        if len(running) != 1:
            raise LookupError(
                "publish() knows no app: none is running"
                if not running
                else f"publish() cannot choose among {len(running)} running apps: use app.publish()"
            )
        (app,) = running
    app.publish(topic, data, namespace=namespace, of=of, compress=compress)


class _Rest:
    """What is left of a plugin that yields."""

    def __init__(self, plugin: Plugin, generator: AsyncIterator[Any]) -> None:
        self._plugin = plugin
        self._generator = generator

    async def __call__(self) -> None:
        if await anext(self._generator, self) is not self:
            raise RuntimeError("a plugin that yields does so once")

    def __repr__(self) -> str:
        return f"the plugin {self._plugin.name}"
