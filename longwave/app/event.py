"""One request as handlers, middleware and hooks see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from longwave.app.response import Headers, StagedResponse
from longwave.app.values import decode_json
from longwave.contract import Address, Reply, Request
from longwave.core.cookies import parse_cookies
from longwave.core.paths import printable
from longwave.core.query import Query, parse_query
from longwave.errors import HTTPError, MessageError, RequestError
from longwave.types import Fields

if TYPE_CHECKING:
    from longwave.app.app import App
    from longwave.app.event_stream import EventStream
    from longwave.core.forms import Form

__all__ = ["Event"]


class Event:
    """A request: what came, and a `context` that travels with it.

    What is staged for the response stands in `response`. `path` is decoded once and free of dot segments; an
    encoded slash stays `%2F`. `params` are those of the route. The same event is `peer.request` of a
    WebSocket.
    """

    __slots__ = (
        "_body",
        "_cookies",
        "_query",
        "_request",
        "_response",
        "app",
        "context",
        "generation",
        "method",
        "params",
        "path",
        "query_string",
        "reply",
        "stream",
        "task",
    )

    def __init__(self, app: App, request: Request, path: str, query_string: str) -> None:
        self.app = app
        self.method = request.method
        self.path = path
        self.query_string = query_string
        self.params: dict[str, str] = {}
        self.context: dict[str, Any] = {}
        self._request = request
        self._body: bytes | None = None
        self._query: Query | None = None
        self._cookies: dict[str, str] | None = None
        self._response: StagedResponse | None = None
        self.stream: EventStream | None = None
        self.reply: asyncio.Future[Reply] | None = None
        self.task: asyncio.Task[None] | None = None
        self.generation: int
        """That of the routes which a task of this request runs in; set with `task`."""

    @property
    def headers(self) -> Headers:
        """The request headers; names in any case."""
        return Headers(self._request.headers)

    @property
    def request(self) -> Request:
        """The request as the server gave it."""
        return self._request

    @property
    def fields(self) -> Fields:
        """The request headers as they came, names in lower case."""
        return self._request.headers

    @property
    def query(self) -> Query:
        """The query; `query["x"]` of a missing key is an `HTTPError` 400 that names it."""
        if self._query is None:
            self._query = parse_query(self.query_string)
        return self._query

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the request."""
        if self._cookies is None:
            values = [value for name, value in self._request.headers if name == b"cookie"]
            self._cookies = parse_cookies(values)
        return self._cookies

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self._request.scheme

    @property
    def host(self) -> str:
        """The `Host` of the request, with its port."""
        return (self._request.header(b"host") or b"").decode("latin-1")

    @property
    def url(self) -> str:
        """The whole URL as the client asked for it."""
        request = self._request
        return f"{self.scheme}://{self.host}{request.prefix}{request.target.decode('latin-1')}"

    @property
    def remote_address(self) -> Address | None:
        """Host and port of the client; None for a Unix socket."""
        return self._request.client

    @property
    def is_upgrade(self) -> bool:
        """Whether the client asks for a WebSocket."""
        return self._request.is_upgrade

    @property
    def last_event_id(self) -> str | None:
        """The last event id of a stream that comes back.

        It is that of the header, or of the query `last_event_id`.
        """
        value = self._request.header(b"last-event-id")
        if value is not None:
            return value.decode("utf-8", "replace")
        if "last_event_id" in self.query_string:
            return self.query.get("last_event_id")
        return None

    @property
    def response(self) -> StagedResponse:
        """Status and headers for the response that a plain returned value will become."""
        if self._response is None:
            self._response = StagedResponse()
        return self._response

    def take_staged(self) -> StagedResponse | None:
        """Return what was staged since the last time, or None; each header goes out once."""
        staged, self._response = self._response, None
        return staged

    async def bytes(self) -> bytes:
        """Return the whole body; raises `HTTPError` 413, 408 or 400 when it cannot be had."""
        if self._body is None:
            body = self._request.body
            if body is None:
                self._body = b""
            else:
                try:
                    self._body = await body.read()
                except RequestError as error:
                    raise HTTPError(error.status, error.message, headers=error.headers) from error
        return self._body

    async def text(self) -> str:
        """Return the body as text; raises `HTTPError` 400 when it is not UTF-8."""
        try:
            return (await self.bytes()).decode()
        except UnicodeDecodeError:
            raise HTTPError(400, "the body is not UTF-8") from None

    async def json(self, type: Any = None) -> Any:
        """Return the body's JSON, checked against `type`.

        Raises `HTTPError` 400 that says what is wrong.
        """
        try:
            return decode_json(await self.bytes(), type)
        except MessageError as error:
            raise HTTPError(400, f"the body does not fit: {error}") from error

    async def form(self) -> Form:
        """Return the fields and files of an urlencoded or multipart body.

        Raises `HTTPError` 400 or 415.
        """
        from longwave.core.forms import parse_form  # for apps that have forms

        return parse_form(self.headers.get("content-type", ""), await self.bytes())

    async def chunks(self) -> AsyncIterator[bytes_]:
        """Yield the body as it comes, within `limits.body`."""
        if self._body is not None or self._request.body is None:
            yield self._body or b""
            return
        try:
            async for chunk in self._request.body:
                yield chunk
        except RequestError as error:
            raise HTTPError(error.status, error.message, headers=error.headers) from error

    def release(self) -> None:
        """Forget what can be had again from the raw head; a WebSocket stays open for long."""
        self._query = self._cookies = self._response = self.reply = self.task = None
        self._request.release()

    def __repr__(self) -> str:
        return f"<Event {self.method} {printable(self.path)}>"


bytes_ = bytes
