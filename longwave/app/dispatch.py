"""From an event to a reply: middleware, static files, the route, and what became of it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from longwave.app.body_stream import BodyStream
from longwave.app.error_page import describe, error_page
from longwave.app.event import Event
from longwave.app.event_stream import (
    END_ID,
    NOTHING,
    EventStream,
    close_items,
    create_event_stream,
    pump,
)
from longwave.app.handlers import Middleware
from longwave.app.response import PassedResponse, Response, error_response, to_response
from longwave.app.route import WEBSOCKET, Route
from longwave.app.upgrade import accept_upgrade
from longwave.contract import FullReply, Reply, StreamReply, UpgradeReply
from longwave.errors import HTTPError

if TYPE_CHECKING:
    from longwave.app.app import App, StaticSource

__all__ = ["Dispatcher", "encode_reply"]

error_log = logging.getLogger("longwave.error")

FIRST_ITEM = 0.25
"""Seconds that the head of a generator's stream waits for its first item, or its error."""
NOT_FOUND = "nothing is served at this path"


class Dispatcher:
    """Runs one event through middleware, static files and routes of an app."""

    __slots__ = ("_app", "_middleware", "_static")

    def __init__(self, app: App, middleware: Sequence[Middleware], static: StaticSource | None) -> None:
        self._app = app
        self._middleware = tuple(middleware)
        self._static = static

    def handle(self, event: Event) -> Reply | Awaitable[Reply]:
        """Answer at once where no middleware and nothing asynchronous is in the way."""
        if self._middleware or event.is_upgrade:
            return self._later(event, self._chain(event, 0))
        try:
            value = self._dispatch(event)
            if hasattr(value, "__await__") or hasattr(value, "__anext__"):
                return self._later(event, value)
            return self._reply(event, value)
        except Exception as error:
            return self._failed(event, error)

    def _later(self, event: Event, work: Any) -> asyncio.Future[Reply]:
        """Run the rest as a task; its stream may begin the reply before the handler returns."""
        loop = self._app.runtime.loop
        reply: asyncio.Future[Reply] = loop.create_future()
        event.reply = reply
        task = loop.create_task(self._complete(event, work, reply))
        reply.add_done_callback(lambda done: task.cancel() if done.cancelled() else None)
        return reply

    async def _complete(self, event: Event, work: Any, reply: asyncio.Future[Reply]) -> None:
        try:
            if event.is_upgrade:
                result = await self._within_time(event, work)
            else:
                value = await work if hasattr(work, "__await__") else work
                result = self._reply(event, await self._settle(event, value))
        except asyncio.CancelledError:
            self._abandon(event)
            raise
        except Exception as error:
            result = self._failed(event, error)
        if not reply.done():
            reply.set_result(result)
        elif reply.cancelled():
            self._abandon(event)
        elif not (isinstance(result, StreamReply) and result.session is event.stream):
            # The stream began before its handler returned something else, or failed.
            self._end_stream(event)

    async def _within_time(self, event: Event, work: Awaitable[Any]) -> Reply:
        limit = self._app.timeouts.upgrade
        try:
            async with asyncio.timeout(limit) as timeout:
                return self._reply(event, await work)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            message = f"the upgrade took longer than {limit:g} s (timeouts.upgrade)"
            raise HTTPError(503, message, headers={"retry-after": "1"}) from error

    async def _chain(self, event: Event, index: int) -> Any:
        """Run the middleware from `index` on, then the route."""
        if index == len(self._middleware):
            value = self._dispatch(event)
            if hasattr(value, "__await__"):
                value = await value
            return await self._settle(event, value)
        middleware = self._middleware[index]
        downstream: list[asyncio.Future[Any]] = []

        async def run_next() -> Any:
            # A second call gives the first one's response.
            if not downstream:
                downstream.append(asyncio.ensure_future(self._downstream(event, index + 1)))
            return await downstream[0]

        try:
            value = middleware(event, run_next)
            if hasattr(value, "__await__"):
                value = await value
            return value if value is not None else await run_next()
        finally:
            for future in downstream:
                future.cancel()

    async def _downstream(self, event: Event, index: int) -> Any:
        """Return what comes after a middleware as something that has headers."""
        value = await self._chain(event, index)
        if isinstance(value, EventStream):
            value = self._reply(event, value)
        if isinstance(value, (FullReply, StreamReply, UpgradeReply)):
            return PassedResponse(value)
        return value if isinstance(value, PassedResponse) else self._respond(event, value)

    def _dispatch(self, event: Event) -> Any:
        """Return what the route returns, awaitable or not; raises `HTTPError` where there is none."""
        match = self._app.table.match(event.path, WEBSOCKET if event.is_upgrade else event.method)
        if self._static is not None and (match is None or match.params) and not event.is_upgrade:
            found = self._static(event)
            if found is not None:
                return found
        if match is None:
            raise HTTPError(404, NOT_FOUND)
        event.params = match.params
        methods = match.methods
        if event.is_upgrade:
            route = methods.get(WEBSOCKET)
            if route is None:
                raise HTTPError(400, f"{event.path} is no WebSocket: it serves plain HTTP")
            assert isinstance(route, Route)
            return accept_upgrade(self._app, event, route)
        method = event.method
        endpoint = methods.get(method)
        if endpoint is None and method == "HEAD":
            endpoint = methods.get("GET")
        if endpoint is None:
            endpoint = methods.get(None)
        if endpoint is None:
            return _no_endpoint(event, methods)
        if event.last_event_id == END_ID:
            return Response(status=204)
        assert not isinstance(endpoint, Route)
        return endpoint(event)

    async def _settle(self, event: Event, value: Any) -> Any:
        """Turn an async iterator into its stream: its head waits for the first item, or its error."""
        if not hasattr(value, "__anext__"):
            return value
        stream = create_event_stream(event)
        if event.method == "HEAD":
            await close_items(value)
            stream.end_after_head()
            return stream
        first = asyncio.ensure_future(_first(value))
        try:
            await asyncio.wait((first,), timeout=FIRST_ITEM)
        except asyncio.CancelledError:
            first.cancel()
            await asyncio.wait((first,))
            await close_items(value)
            raise
        if first.done() and (error := first.exception()) is not None:
            raise error
        stream.spawn(pump(stream, first, value))
        return stream

    def _reply(self, event: Event, value: Any) -> Reply:
        """Return the reply of what a handler returned."""
        if isinstance(value, Exception):
            raise value
        if isinstance(value, EventStream):
            if value is not event.stream:
                raise TypeError("a handler returned the event stream of another request")
            return value.reply()
        if isinstance(value, (UpgradeReply, FullReply, StreamReply)):
            return value
        if isinstance(value, PassedResponse):
            return value.reply()
        if event.stream is not None and not event.stream.started:
            event.stream.closed(1000, "")
        return self._encode(self._respond(event, value))

    def _respond(self, event: Event, value: Any) -> Response:
        staged = event.staged
        if staged is None:
            return to_response(value)
        response = to_response(value, staged.status)
        return staged.apply(response)

    def _encode(self, response: Response) -> Reply:
        body = response.body
        if isinstance(body, bytes):
            return FullReply(response.status, response.fields, body)
        stream = BodyStream(self._app.runtime, body)
        return StreamReply(response.status, response.fields, stream, "body")

    def _failed(self, event: Event, error: Exception) -> Reply:
        self._end_stream(event)
        if not isinstance(error, HTTPError):
            self._app.runtime.count_error()
            error_log.error("%s %s failed", event.method, event.path, exc_info=error)
        elif error.status == 503 and _wants_stream(event):
            return refuse_stream()
        return encode_reply(event, error, self._app.dev)

    def _abandon(self, event: Event) -> None:
        if event.stream is not None:
            event.stream.closed(1006, "")

    def _end_stream(self, event: Event) -> None:
        if event.stream is not None:
            if event.stream.started:
                event.stream.end()
            else:
                event.stream.closed(1000, "")


def encode_reply(event: Event | None, error: Exception, dev: bool) -> Reply:
    """Return the reply of an error: one JSON shape, or in dev a page where the client is a browser."""
    unhandled = not isinstance(error, HTTPError)
    shown = (
        error if isinstance(error, HTTPError) else HTTPError(500, describe(error) if dev else "Server Error")
    )
    if dev and event is not None and "text/html" in event.headers.get("accept", ""):
        response = Response.html(error_page(event, error), shown.status, shown.headers)
    else:
        response = error_response(shown, unhandled=unhandled)
    body = response.body
    assert isinstance(body, bytes)
    return FullReply(response.status, response.fields, body)


def refuse_stream() -> FullReply:
    """Return a refusal that EventSource comes back from: it never does after a 503 (WHATWG HTML 9.2.3)."""
    retry = random.randrange(2000, 10_000)
    fields = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
    return FullReply(200, fields, b"retry: %d\n\n" % retry)


def _wants_stream(event: Event) -> bool:
    return "text/event-stream" in event.headers.get("accept", "")


def _no_endpoint(event: Event, methods: dict[str | None, Any]) -> Response:
    served = [method for method in methods if method is not None and method != WEBSOCKET]
    if not served:
        raise HTTPError(
            426, f"{event.path} is a WebSocket: connect with one", headers={"upgrade": "websocket"}
        )
    if "GET" in served and "HEAD" not in served:
        served.append("HEAD")
    allow = ", ".join([*sorted(served), "OPTIONS"])
    if event.method == "OPTIONS":
        return Response(status=204, headers={"allow": allow})
    raise HTTPError(405, f"{event.path} serves {allow}, not {event.method}", headers={"allow": allow})


async def _first(items: AsyncIterator[Any]) -> Any:
    return await anext(items, NOTHING)
