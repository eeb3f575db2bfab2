"""From an event to a reply: middleware, static files, the route, and what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from longwave.app.error_reply import encode_reply, refuse_stream, wants_stream
from longwave.app.event import Event
from longwave.app.event_stream import EventStream, create_event_stream
from longwave.app.handlers import Middleware
from longwave.app.iterators import END_ID, BodyStream, close_items, pump
from longwave.app.response import PassedResponse, Response, to_response
from longwave.app.route import WEBSOCKET, Endpoint, Route
from longwave.app.tasks import is_being_cancelled
from longwave.app.upgrade import accept_upgrade, check_stream
from longwave.contract import FullReply, Reply, StreamReply, UpgradeReply, failed_reply
from longwave.core.paths import printable
from longwave.errors import HTTPError
from longwave.routing.table import METHODS, Table

if TYPE_CHECKING:
    from longwave.app.app import App, Source

__all__ = ["Dispatcher"]

error_log = logging.getLogger("longwave.error")

FIRST_ITEM = 0.25
"""Seconds that the head of a generator's stream waits for its first item, or its error."""
NOT_FOUND = "nothing is served at this path"
PLAIN = frozenset({dict, str, list, type(None)})
"""Types of which nothing but a response can be made."""


class Dispatcher:
    """Runs one event through middleware, other sources and routes of an app.

    `claims` are asked first of all. `sources` are asked, in order, where no route without parameters answers
    a plain request, and for every upgrade. A reload makes another dispatcher: what has begun ends in the code
    that it began in.
    """

    __slots__ = ("_app", "_claims", "_middleware", "_sources", "_table")

    def __init__(
        self,
        app: App,
        table: Table[Endpoint | Route],
        middleware: Sequence[Middleware],
        sources: Sequence[Source],
        claims: Sequence[Source] = (),
    ) -> None:
        self._app = app
        self._table = table
        self._middleware = tuple(middleware)
        self._sources = tuple(sources)
        self._claims = tuple(claims)

    def handle(self, event: Event) -> Reply | Awaitable[Reply]:
        """Answer at once where no middleware and nothing asynchronous is in the way."""
        if self._claims and (claimed := self.claim(event)) is not None:
            return claimed
        if self._middleware or event.is_upgrade:
            return self._later(event, self._chain(event, 0))
        try:
            value = self._dispatch(event)
            if hasattr(value, "__await__") or hasattr(value, "__aiter__"):
                return self._later(event, value)
            reply = self._reply(event, value)
        except Exception as error:
            reply = self._failed(event, error)
        if event.stream is not None:
            _end_unless(event.stream, reply)
        return reply

    def claim(self, event: Event) -> Reply | Awaitable[Reply] | None:
        """Return the answer of the first claim that has one, or None."""
        try:
            for claim in self._claims:
                value = claim(event, None)
                if value is not None:
                    return (
                        self._later(event, value)
                        if hasattr(value, "__await__")
                        else self._reply(event, value)
                    )
        except Exception as error:
            return self._failed(event, error)
        return None

    def _later(self, event: Event, work: Any) -> asyncio.Future[Reply]:
        """Run the rest as a task; its stream may begin the reply before the handler returns."""
        loop = self._app.runtime.loop
        reply: asyncio.Future[Reply] = loop.create_future()
        event.reply = reply
        event.generation = self._app.generation
        task = event.task = loop.create_task(self._complete(event, work, reply))
        reply.add_done_callback(lambda done: task.cancel() if done.cancelled() else None)
        return reply

    async def _complete(self, event: Event, work: Any, reply: asyncio.Future[Reply]) -> None:
        try:
            if event.is_upgrade:
                result = await self._within_time(event, work)
            else:
                value = await work if hasattr(work, "__await__") else work
                result = self._reply(event, await self._settle(event, value))
        except asyncio.CancelledError as error:
            if reply.cancelled() or is_being_cancelled():
                if event.stream is not None:
                    event.stream.end()
                reply.cancel()
                raise
            # A handler that asked a cancelled task of its own for its result. The client still waits.
            result = self._failed(event, error)
        except Exception as error:
            result = self._failed(event, error)
        if not reply.done():
            if event.stream is not None:
                _end_unless(event.stream, result)
            reply.set_result(result)
            return
        # Nobody waits any more, or the stream began before its handler returned something else, or failed.
        begun = None if reply.cancelled() else reply.result()
        if not (isinstance(begun, StreamReply) and isinstance(result, StreamReply)) or (
            result.session is not begun.session
        ):
            drop(result)
            if event.stream is not None:
                event.stream.end()

    async def _within_time(self, event: Event, work: Awaitable[Any]) -> Reply:
        limit = self._app.timeouts.upgrade
        try:
            async with asyncio.timeout(limit) as timeout:
                return self._reply(event, await work)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            self._app.passed("timeouts.upgrade")
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
        after = _Next(self, event, index + 1)
        try:
            value = middleware(event, after)
            if hasattr(value, "__await__"):
                value = await value
            if value is None:
                value = await after()
        except BaseException:
            after.drop()
            raise
        if value is not after.passed:
            after.drop()
        return value

    async def downstream(self, event: Event, index: int) -> Any:
        """Return what comes after a middleware as something that has headers."""
        value = await self._chain(event, index)
        if isinstance(value, Response):
            # It may be one that the handler gives to every request.
            return self._respond(event, value.copy())
        if isinstance(value, PassedResponse):
            return value
        if isinstance(value, (EventStream, FullReply, StreamReply, UpgradeReply, Exception)):
            return PassedResponse(self._reply(event, value))
        return self._respond(event, value)

    def _dispatch(self, event: Event) -> Any:
        """Return what the route returns, awaitable or not; raises `HTTPError` where there is none."""
        match = self._table.match(event.path, WEBSOCKET if event.is_upgrade else event.method)
        if self._sources and (match is None or match.params or event.is_upgrade):
            for source in self._sources:
                found = source(event, match)
                if found is not None:
                    return found
        if match is None:
            if event.path == "*":
                # RFC 9110 section 9.3.7: OPTIONS * asks the server as a whole, as "a ping or no-op".
                return Response(status=204, headers={"allow": ", ".join(METHODS)})
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
        if event.request.header(b"origin") is not None and not _is_mounted(endpoint, methods):
            check_stream(self._app, event)
        assert not isinstance(endpoint, Route)
        return endpoint(event)

    async def _settle(self, event: Event, value: Any) -> Any:
        """Turn an async iterator into its stream: its head waits for the first item, or its error."""
        if not hasattr(value, "__aiter__"):
            return value
        stream = create_event_stream(event)
        # What is pushed waits for the head, which is ours to let go.
        stream.started = True
        if event.method == "HEAD":
            await close_items(value)
            stream.end()
            return stream
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stream.spawn(pump(stream, aiter(value), begun))
        try:
            await asyncio.wait((begun,), timeout=FIRST_ITEM)
        except asyncio.CancelledError:
            begun.cancel()
            stream.end()
            raise
        if not begun.done():
            begun.cancel()
        elif (error := begun.exception()) is not None:
            raise error
        return stream

    def _reply(self, event: Event, value: Any) -> Reply:
        """Return the reply of what a handler returned."""
        if value.__class__ in PLAIN:
            return self._encode(event, self._respond(event, value))
        if isinstance(value, EventStream):
            if not value.is_of(event):
                raise TypeError("a handler returned the event stream of another request")
            return value.reply()
        if isinstance(value, PassedResponse):
            value = value.reply()
        if isinstance(value, (UpgradeReply, FullReply, StreamReply)):
            staged = event.take_staged()
            if staged is not None:
                value.headers = staged.merge(value.headers)
            return value
        if isinstance(value, Exception) and not isinstance(value, Response):
            raise value
        return self._encode(event, self._respond(event, value))

    def _respond(self, event: Event, value: Any) -> Response:
        staged = event.take_staged()
        if staged is None:
            return to_response(value)
        response = to_response(value, staged.status)
        if response is value:
            # A response may be returned more than once: this request's headers are not for the next.
            response = response.copy()
        response.fields = staged.merge(response.fields)
        return response

    def _encode(self, event: Event, response: Response) -> Reply:
        body: Any = response.body
        if isinstance(body, str):
            body = body.encode()
        if isinstance(body, bytes):
            return FullReply(response.status, response.fields, body)
        if not hasattr(body, "__aiter__"):
            raise TypeError(f"the body of a response was set to {body!r}: it is bytes or an async iterator")
        stream = BodyStream(self._app.runtime, body)
        if event.method == "HEAD":
            stream.skip()
        return StreamReply(response.status, response.fields, stream, "body")

    def _failed(self, event: Event, error: BaseException) -> Reply:
        """Return the reply of an error; never raises, for the client waits."""
        try:
            if event.stream is not None:
                event.stream.end()
            if isinstance(error, Response):
                error.__traceback__ = None
                return self._reply(event, error)
            if not isinstance(error, HTTPError):
                self._app.runtime.count_error()
                error_log.error("%s %s failed", event.method, printable(event.path), exc_info=error)
            elif error.status == 503 and wants_stream(event):
                return refuse_stream()
            return encode_reply(event, error, self._app.dev)
        except Exception as second:
            path = printable(event.path)
            error_log.error("the answer to %s %s failed", event.method, path, exc_info=second)
            return failed_reply()


class _Next:
    """What a middleware calls to run what comes after it; a second call has the first one's outcome."""

    __slots__ = ("_dispatcher", "_error", "_event", "_index", "_runs", "passed")

    def __init__(self, dispatcher: Dispatcher, event: Event, index: int) -> None:
        self._dispatcher = dispatcher
        self._event = event
        self._index = index
        self._runs = False
        self._error: BaseException | None = None
        self.passed: Any = None

    async def __call__(self) -> Any:
        """Return the response of what comes after."""
        if self._error is not None:
            raise self._error
        if self.passed is None:
            if self._runs:
                raise RuntimeError("next() runs already: await its first call before another one")
            self._runs = True
            try:
                self.passed = await self._dispatcher.downstream(self._event, self._index)
            except BaseException as error:
                self._error = error
                raise
        return self.passed

    def drop(self) -> None:
        """End what the middleware does not pass on."""
        self._error = None
        if isinstance(self.passed, PassedResponse):
            drop(self.passed.reply())


def drop(reply: Reply) -> None:
    """End the session of a reply that is not sent."""
    if isinstance(reply, FullReply):
        return
    if isinstance(reply.session, EventStream):
        reply.session.end()
    else:
        reply.session.closed(1006, "")


def _is_mounted(endpoint: Any, methods: dict[str | None, Any]) -> bool:
    """Whether a foreign application answers here: it has rules of its own for origins."""
    route = methods.get(WEBSOCKET)
    return isinstance(route, Route) and route.upgrade_with is not None and route.upgrade_with is endpoint


def _end_unless(stream: EventStream, reply: Reply) -> None:
    """End a stream that is not the answer."""
    if not (isinstance(reply, StreamReply) and reply.session is stream):
        stream.end()


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
