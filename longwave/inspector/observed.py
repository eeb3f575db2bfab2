"""An application as it is watched: everything goes through, and is counted on its way.

Only what is started with it pays for it: an application that nobody observes is served as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from time import perf_counter
from uuid import uuid4

from msgspec import structs

from longwave.app.app import App
from longwave.app.peer import Peer
from longwave.app.route import WEBSOCKET
from longwave.app.service import ServiceSocket
from longwave.contract import FullReply, Reply, Request, Session, StreamReply, UpgradeReply
from longwave.core.paths import decode_path
from longwave.errors import RequestError
from longwave.inspector.activity import LEFT, Activity, Closed, Connection, Kind, Opened, Requested
from longwave.inspector.counted import BodySession, CountedSession, count_events, count_messages

__all__ = ["OWN", "Observed"]

OWN = "/_longwave/"
"""Where Longwave's own pages are, of which nothing is told."""


class Observed:
    """What a server serves in place of an application, to tell of what goes on in it.

    Sessions are wrapped in replies of their own: the application still compares those that it made.
    """

    def __init__(self, app: App, activity: Activity) -> None:
        self.app = app
        self.activity = activity
        self._sources = _Sources(app)

    # Called by the server (contract.Application).

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Let the application answer, and wrap its reply."""
        began = perf_counter()
        reply = self.app.handle(request)
        path = _path(request)
        if path.startswith(OWN):
            return reply
        exchange = _Exchange(self, request, path, began)
        if isinstance(reply, (FullReply, StreamReply, UpgradeReply)):
            return exchange.wrap(reply)
        return exchange.later(reply)

    async def startup(self) -> None:
        """Start the application."""
        await self.app.startup()

    async def shutdown(self) -> None:
        """Stop the application."""
        await self.app.shutdown()

    # Called by what is wrapped.

    def connect(self, connection: Connection) -> None:
        """Take a connection that was opened among those that there are, and tell of it."""
        table = WEBSOCKET if connection.kind == "websocket" else connection.method
        connection.route, connection.source = self._sources.find(connection.path, table)
        activity = self.activity
        activity.connections[connection.id] = connection
        if activity.is_followed:
            activity.tell(Opened(connection))

    def disconnect(self, connection: Connection, code: int, reason: str) -> None:
        """Forget a connection that ended, and tell of it."""
        activity = self.activity
        if activity.connections.pop(connection.id, None) is not None and activity.is_followed:
            activity.tell(Closed(connection, code, reason, connection.age))


class _Exchange:
    """One request on its way through."""

    __slots__ = ("_began", "_observed", "_path", "_request")

    def __init__(self, observed: Observed, request: Request, path: str, began: float) -> None:
        self._observed = observed
        self._request = request
        self._path = path
        self._began = began

    def wrap(self, reply: Reply) -> Reply:
        """Tell of a whole reply; return any other with its session wrapped."""
        if isinstance(reply, FullReply):
            self.answered(reply.status)
            return reply
        session = reply.session
        if isinstance(session, ServiceSocket):
            return reply
        wrapped: Session
        if isinstance(reply, UpgradeReply):
            wrapped = CountedSession(self._observed, self._connection(session, True), session, count_messages)
        elif self._request.method != "HEAD" and _is_events(reply):
            wrapped = CountedSession(self._observed, self._connection(session, False), session, count_events)
        elif not self._observed.activity.is_followed:
            return reply
        else:
            wrapped = BodySession(session, partial(self.answered, reply.status))
        # The application holds on to the reply that it made, and may compare its session.
        return structs.replace(reply, session=wrapped)

    def later(self, answer: Awaitable[Reply]) -> asyncio.Future[Reply]:
        """Return a future of the wrapped reply; who cancels it cancels the work behind it."""
        inner = asyncio.ensure_future(answer)
        outer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        inner.add_done_callback(partial(self._settle, outer))
        outer.add_done_callback(lambda done: inner.cancel() if done.cancelled() else None)
        return outer

    def answered(self, status: int) -> None:
        """Tell of the request, whose answer is whole."""
        activity, request = self._observed.activity, self._request
        if activity.is_followed:
            seconds = perf_counter() - self._began
            activity.tell(
                Requested(request.method, self._path, status, seconds, request.client, request.is_upgrade)
            )

    def _settle(self, outer: asyncio.Future[Reply], inner: asyncio.Future[Reply]) -> None:
        if outer.cancelled():
            self.answered(LEFT)
            if not inner.cancelled() and inner.exception() is None:
                # It came in the turn in which the server gave it up, and hears no more of it.
                late = inner.result()
                if not isinstance(late, FullReply):
                    late.session.closed(1006, "")
        elif inner.cancelled():
            outer.cancel()
        elif (error := inner.exception()) is not None:
            outer.set_exception(error)
        else:
            outer.set_result(self.wrap(inner.result()))

    def _connection(self, session: Session, is_websocket: bool) -> Connection:
        request = self._request
        id = session.id if isinstance(session, Peer) else str(uuid4())
        kind: Kind = "websocket" if is_websocket else "stream"
        return Connection(id, kind, request.method, self._path, request.client, session)


class _Sources:
    """Finds the route of a path and its file; holds on to no code that was replaced."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._generation = -1
        self._files: dict[tuple[str, str | None], str] = {}

    def find(self, path: str, method: str) -> tuple[str | None, str | None]:
        """Return pattern and file, None where no route answers."""
        table = self._app.table
        if self._generation != self._app.generation:
            self._generation = self._app.generation
            self._files = {(route.pattern, route.method): route.source for route in table}
        match = table.match(path, method)
        if match is None:
            return None, None
        keys = (method, "GET" if method == "HEAD" else method, None)
        found = (self._files.get((match.pattern, key)) for key in keys)
        return match.pattern, next((source for source in found if source), None)


def _path(request: Request) -> str:
    try:
        return decode_path(request.target)[0]
    except RequestError:
        return request.target.partition(b"?")[0].decode("latin-1")


def _is_events(reply: StreamReply) -> bool:
    """Whether a stream is one of events, also that of another application."""
    if reply.format == "sse":
        return True
    kind = next((value for name, value in reply.headers if name == b"content-type"), b"")
    return kind.startswith(b"text/event-stream")
