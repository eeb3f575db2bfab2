"""The application: picks the route of a request and runs it, middleware first (`contract.Application`)."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from longwave.app.current import current, running
from longwave.app.dispatch import Dispatcher, encode_reply, refuse_stream, wants_stream
from longwave.app.event import Event
from longwave.app.handlers import Middleware, Plugin
from longwave.app.hooks import Hooks, WebSocketHandler, combine_hooks, compile_hooks
from longwave.app.route import WEBSOCKET, Route
from longwave.app.runtime import Clock, Runtime
from longwave.app.values import decoder_for, encode_value
from longwave.contract import FullReply, Reply, Request
from longwave.core.forwarded import TrustedProxies
from longwave.core.paths import decode_path
from longwave.errors import HTTPError, RequestError
from longwave.hub.drivers import Backplane
from longwave.limits import Limits, Timeouts
from longwave.routing.table import Match, Table
from longwave.types import Compression

__all__ = ["App", "RouteInfo", "Source"]

error_log = logging.getLogger("longwave.error")

Source = Callable[[Event, "Match[Any] | None"], "Awaitable[Any] | Any"]
"""Answers what is no route: static files, a proxy. Given the event and the route that there is all the same;
returns a response, or None to let others answer."""


@dataclass(frozen=True, slots=True)
class RouteInfo:
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
        self._added: list[Source] = []
        self._files = () if static is None else (static,)
        self._dispatcher = Dispatcher(self, middleware, self._files)
        self.table: Table[Callable[[Any], Any] | Route] = Table()
        self.set_routes(routes)

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

        On our own server also its connections and how often each limit was passed, as `server.*`.
        """
        counters = self.runtime.stats()
        if self.server_stats is not None:
            counters.update((f"server.{name}", count) for name, count in self.server_stats().items())
        return counters

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
            if route.handler is handler:
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

    def set_routes(self, routes: Iterable[Route]) -> None:
        """Serve these routes from now on.

        Raises `RouteError` for two of one path and method.
        """
        table: Table[Callable[[Any], Any] | Route] = Table()
        kept = list(routes)
        for route in kept:
            for method, endpoint in route.endpoints.items():
                table.add(route.pattern, method, endpoint, route.source)
            if route.takes_upgrades:
                table.add(route.pattern, WEBSOCKET, route, route.source)
        self._apply_hooks(kept)
        self.table, self._routes = table, kept
        # It holds the types of the code before, and with them all of that code.
        decoder_for.cache_clear()

    def add_source(self, source: Source) -> None:
        """Ask a source before the static files, and after those that were added before it."""
        self._added.append(source)
        self._dispatcher.sources = (*self._added, *self._files)

    def _apply_hooks(self, routes: Iterable[Route]) -> None:
        for route in routes:
            own = route.own_hooks
            route.hooks = own if self._app_hooks is None else combine_hooks(self._app_hooks, own)

    # Called by the server (contract.Application).

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer a request: at once where nothing has to be waited for, else by a future."""
        current.set(self)
        if self._proxies:
            self._believe(request)
        try:
            path, query = decode_path(request.target)
        except RequestError as error:
            return encode_reply(None, HTTPError(error.status, error.message), self.dev)
        if path == "/_longwave/health":
            return FullReply(200, [(b"content-type", b"application/json")], b'{"status":"ok"}')
        event = Event(self, request, path, query)
        if self._is_ready:
            return self._dispatcher.handle(event)
        if self._starting is not None and request.is_upgrade:
            return self._handle_later(event, self._starting)
        return self._refuse(event)

    async def _handle_later(self, event: Event, started: asyncio.Event) -> Reply:
        """Let a client that asks for a WebSocket wait for the end of the start-up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.timeouts.upgrade):
                await started.wait()
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
        request.scheme = said.scheme or request.scheme
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
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            error_log.error("shutdown of %r failed", closer, exc_info=error)
        except Exception as error:
            error_log.error("shutdown of %r failed", closer, exc_info=error)

    async def _run_plugin(self, plugin: Plugin) -> None:
        result = plugin.function(self)
        if inspect.isasyncgen(result):
            await anext(result, None)
            self.on_shutdown(lambda: _finish(result))
        elif inspect.isawaitable(result):
            await result


async def _finish(generator: AsyncIterator[Any]) -> None:
    if await anext(generator, os) is not os:
        raise RuntimeError("a plugin that yields does so once")
