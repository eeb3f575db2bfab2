"""A client in process: requests, WebSockets and event streams without a socket."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from longwave.contract import Application, FullReply, Reply, Request, StreamReply, UpgradeReply
from longwave.errors import RequestError
from longwave.limits import Limits
from longwave.testing.connections import EventConnection, WebSocketConnection, within
from longwave.testing.link import SocketLink, StreamLink, settle
from longwave.testing.response import Headers, RefusedError, TestResponse, update_cookies
from longwave.types import Fields

__all__ = ["TestClient"]

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]


class TestClient:
    """Talks to an application in process.

    `async with TestClient(app) as client:` starts the application and stops it. `timeout` is the limit in
    seconds of every wait. `headers` go with each request; `cookies` is the jar, which responses change.
    `limits` are those that a server would keep: of bodies, messages and outgoing buffers.
    """

    __test__ = False

    def __init__(
        self,
        app: Application,
        *,
        timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        host: str = "testserver",
        scheme: str = "http",
        client: tuple[str, int] | None = ("127.0.0.1", 50000),
        limits: Limits | None = None,
    ) -> None:
        self.app: Application = getattr(app, "served", app)
        self.timeout = timeout
        self.headers = dict(headers or {})
        self.cookies = dict(cookies or {})
        self._host = host
        self._scheme = scheme
        self._client = client
        self._limits = limits or getattr(app, "limits", None) or Limits()

    async def __aenter__(self) -> TestClient:
        await self.app.startup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await settle()
        await self.app.shutdown()

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Params | None = None,
        json: Any = None,
        data: str | bytes | None = None,
        content: str | bytes | None = None,
        form: Params | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> TestResponse:
        """Send a request and return its whole response.

        One of `json`, `content` (or `data`, the same) and `form` is the body. A stream that does not end
        within the time limit is a `TimeoutError`: `events` is for those.
        """
        body, kind = _body(json, data if content is None else content, form)
        fields = self._fields(headers, cookies, kind)
        if body or method in ("POST", "PUT", "PATCH"):
            fields.append((b"content-length", b"%d" % len(body)))
        request = self._request(method, path, params, fields, body)
        limit = self.timeout if timeout is None else timeout
        reply = await self._handle(request, limit)
        return await self._whole(reply, request, limit)

    async def get(self, path: str, **options: Any) -> TestResponse:
        """Send a GET request; the options are those of `request`."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> TestResponse:
        """Send a POST request; the options are those of `request`."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> TestResponse:
        """Send a PUT request; the options are those of `request`."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> TestResponse:
        """Send a PATCH request; the options are those of `request`."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> TestResponse:
        """Send a DELETE request; the options are those of `request`."""
        return await self.request("DELETE", path, **options)

    async def head(self, path: str, **options: Any) -> TestResponse:
        """Send a HEAD request; the options are those of `request`."""
        return await self.request("HEAD", path, **options)

    async def options(self, path: str, **options: Any) -> TestResponse:
        """Send an OPTIONS request; the options are those of `request`."""
        return await self.request("OPTIONS", path, **options)

    @contextlib.asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        protocols: Sequence[str] = (),
        params: Params | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[WebSocketConnection]:
        """Open a WebSocket, closed with 1000 at the end.

        `RefusedError` carries any other response.
        """
        fields = self._fields(headers, cookies, None)
        fields += [
            (b"connection", b"Upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", base64.b64encode(b"longwave.testing")),
        ]
        if protocols:
            fields.append((b"sec-websocket-protocol", ", ".join(protocols).encode("latin-1")))
        request = self._request("GET", path, params, fields, None)
        limit = self.timeout if timeout is None else timeout
        reply = await self._handle(request, limit)
        if not isinstance(reply, UpgradeReply):
            raise RefusedError(f"the WebSocket {path}", await self._whole(reply, request, limit))
        link = SocketLink(reply.session, self._limits, reply.policy)
        answer = Headers(reply.headers)
        update_cookies(self.cookies, answer)
        reply.session.opened(link)
        connection = WebSocketConnection(link, path, limit, answer, reply.protocol)
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def events(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: Params | None = None,
        json: Any = None,
        last_event_id: str | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[EventConnection]:
        """Open an event stream; at the end, go away.

        `RefusedError` carries any other response.
        """
        body, kind = _body(json, None, None)
        fields = self._fields({"accept": "text/event-stream", **(headers or {})}, cookies, kind)
        if last_event_id is not None:
            fields.append((b"last-event-id", last_event_id.encode()))
        if body:
            fields.append((b"content-length", b"%d" % len(body)))
        request = self._request(method, path, params, fields, body)
        limit = self.timeout if timeout is None else timeout
        reply = await self._handle(request, limit)
        if not isinstance(reply, StreamReply) or not _is_events(reply):
            raise RefusedError(f"the stream {path}", await self._whole(reply, request, limit))
        link = StreamLink(reply.session, reply.format, self._limits)
        answer = Headers(reply.headers)
        update_cookies(self.cookies, answer)
        reply.session.opened(link)
        connection = EventConnection(link, path, limit, reply.status, answer)
        try:
            yield connection
        finally:
            await connection.close()

    def _fields(
        self, headers: Mapping[str, str] | None, cookies: Mapping[str, str] | None, kind: str | None
    ) -> Fields:
        named = {"host": self._host, **({"content-type": kind} if kind else {})}
        for name, value in {**self.headers, **(headers or {})}.items():
            named[name.lower()] = value
        jar = {**self.cookies, **(cookies or {})}
        if jar and "cookie" not in named:
            named["cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]

    def _request(
        self, method: str, path: str, params: Params | None, fields: Fields, body: bytes | None
    ) -> Request:
        if not path.startswith("/"):
            raise ValueError(f"a path starts with a slash: '/{path}', not {path!r}")
        target = quote(path, safe="/:?#[]@!$&'()*+,;=-._~%")
        if params:
            target += ("&" if "?" in target else "?") + urlencode(params, doseq=True)
        return Request(
            method,
            target.encode("ascii"),
            fields,
            None if body is None else _Body(body, self._limits.body),
            scheme=self._scheme,
            client=self._client,
            is_upgrade=body is None,
        )

    async def _handle(self, request: Request, limit: float) -> Reply:
        try:
            reply = self.app.handle(request)
            if isinstance(reply, (FullReply, StreamReply, UpgradeReply)):
                return reply
            what = f"{request.method} {request.target.decode()}"
            return await within(limit, reply, lambda: f"{what}: no response came within {limit:g} s")
        except RequestError as error:
            return FullReply(error.status, [], error.message.encode())

    async def _whole(self, reply: Reply, request: Request, limit: float) -> TestResponse:
        head_only = request.method == "HEAD"
        if isinstance(reply, UpgradeReply):
            raise TypeError(f"{request.target.decode()} answered a plain request with an upgrade")
        if isinstance(reply, StreamReply):
            content, fields = await self._collect(reply, request, limit), reply.headers
        else:
            content, fields = reply.body, reply.headers
            if reply.status >= 200 and reply.status not in (204, 304):
                if not any(name == b"content-length" for name, _ in fields):
                    fields = [*fields, (b"content-length", b"%d" % len(content))]
            else:
                content = b""
        response = TestResponse(reply.status, fields, b"" if head_only else content)
        update_cookies(self.cookies, response.headers)
        return response

    async def _collect(self, reply: StreamReply, request: Request, limit: float) -> bytes:
        link = StreamLink(reply.session, reply.format, self._limits)
        what = f"{request.method} {request.target.decode()}"
        parts: list[bytes] = []
        if request.method == "HEAD":
            link.end(1000, "")
        reply.session.opened(link)

        async def collect() -> None:
            while link.outcome is None:
                await link.wait()
                parts.extend(link.take())
            # One that ended as it was opened.
            parts.extend(link.take())
            await settle()

        def missing() -> str:
            return (
                f"{what}: the response is a stream that did not end within {limit:g} s "
                f"({sum(map(len, parts))} bytes came); client.events() is for event streams"
            )

        try:
            await within(limit, collect(), missing)
        finally:
            link.abort()
        if link.outcome is not None and link.outcome[0] == 1006:
            raise ConnectionError(
                f"{what}: the application cut the response after {sum(map(len, parts))} bytes"
            )
        return b"".join(parts)


class _Body:
    """A request body that is there already."""

    def __init__(self, data: bytes, limit: int) -> None:
        self._data = data
        self._limit = limit

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if len(self._data) > self._limit:
            raise RequestError(413, f"the body is larger than {self._limit} bytes (limits.body)")
        data, self._data = self._data, b""
        if data:
            yield data


def _is_events(reply: StreamReply) -> bool:
    """Whether a stream is one of events: a mounted application sends them as plain bytes."""
    kind = Headers(reply.headers).get("content-type", "")
    return reply.format == "sse" or kind.startswith("text/event-stream")


def _body(json: Any, content: str | bytes | None, form: Params | None) -> tuple[bytes, str | None]:
    """Return the body and its type."""
    if sum(value is not None for value in (json, content, form)) > 1:
        raise TypeError("a request has one body: give json, content or form")
    if json is not None:
        return msgspec.json.encode(json), "application/json"
    if form is not None:
        return urlencode(form, doseq=True).encode(), "application/x-www-form-urlencoded"
    if isinstance(content, str):
        return content.encode(), "text/plain; charset=utf-8"
    return content or b"", None
