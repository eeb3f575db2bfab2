"""One HTTP request under ASGI: a whole response, or a stream whose session writes through a link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import Final

from longwave.asgi.body import AsgiBody
from longwave.asgi.link import AsgiLink, Message, Receive, Scope, Send
from longwave.asgi.scope import make_request
from longwave.asgi.state import AsgiState
from longwave.contract import Application, FullReply, Reply, Request, StreamReply, UpgradeReply, failed_reply
from longwave.core.http1_write import check_field, error_body, has_body
from longwave.core.sse import BODY, sse_wire
from longwave.errors import RequestError
from longwave.types import Fields, Piece, SlowPolicy

__all__ = ["StreamLink", "complete", "refusal", "serve_http"]

_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))

error_log = logging.getLogger("longwave.error")


class StreamLink(AsgiLink):
    """The body of one response: pieces are bytes; what is taken together, one message."""

    __slots__ = ()
    stall = True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the body in order; the session hears it at once, however slow the client is."""
        if self.ending is None:
            super().close(code, reason)
            asyncio.get_running_loop().call_soon(self.tell)

    @property
    def is_whole(self) -> bool:
        """Whether it is an event stream; bytes that stop early must not look complete."""
        return self.wire is not BODY

    def _messages(self, pieces: list[Piece]) -> Iterable[tuple[Message, int]]:
        data = b"".join(pieces)
        yield {"type": "http.response.body", "body": data, "more_body": True}, len(data)

    async def _send_end(self, code: int, reason: str) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        self.finish(code, reason)


async def serve_http(
    application: Application, scope: Scope, receive: Receive, send: Send, state: AsgiState
) -> None:
    """Answer one request of a scope of type `http`."""
    body = AsgiBody(receive, state)
    request = make_request(scope, body)
    body.expect(request)
    try:
        reply = await _ask(application, request, body)
        if isinstance(reply, StreamReply):
            await _stream(reply, request, body, send, state)
        elif reply is not None:
            await _whole(reply, request, body, send)
    finally:
        body.stop()


def complete(reply: FullReply, method: str = "GET") -> tuple[Fields, bytes]:
    """Return fields and body of a whole reply as they go out, or raise `ValueError`.

    Framing is settled here as on our own server: the length is that of the body, but for the length of a
    body that HEAD and 304 do not send, which the handler may know.
    """
    status, data = reply.status, reply.body
    fields = [check_field(name, value) for name, value in reply.headers]
    given = [field for field in fields if field[0] == b"content-length"]
    fields = [field for field in fields if field[0] not in _FRAMING]
    if method == "HEAD" or not has_body(status):
        if status == 304 or (has_body(status) and not data and given):
            return fields + given, b""
        if has_body(status):
            fields.append((b"content-length", b"%d" % len(data)))
        return fields, b""
    return [*fields, (b"content-length", b"%d" % len(data))], data


def refusal(error: RequestError) -> FullReply:
    """Return the response to a request that cannot be read."""
    fields = [check_field(name, value) for name, value in error.headers.items()]
    fields.append((b"content-type", b"application/json"))
    return FullReply(error.status, fields, error_body(error.status, error.message))


async def _ask(application: Application, request: Request, body: AsgiBody) -> Reply | None:
    """Return the reply, or None where the client went away before there was one."""
    try:
        answer = application.handle(request)
        if isinstance(answer, (FullReply, StreamReply, UpgradeReply)):
            return answer
        return await _until_gone(answer, request, body)
    except RequestError as error:
        return refusal(error)


async def _until_gone(answer: Awaitable[Reply], request: Request, body: AsgiBody) -> Reply | None:
    task: asyncio.Future[Reply] = asyncio.ensure_future(answer)
    # Most handlers are done after one turn: they cost no reader. A client that asked for 100-continue must
    # not be told to send a body before the handler wants one.
    await asyncio.sleep(0)
    if not task.done() and request.header(b"expect") is None:
        body.watch(task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancel():
            _put_away(task)
        if body.gone and not _cancelling():
            return None
        raise
    finally:
        body.watch(None)


def _put_away(task: asyncio.Future[Reply]) -> None:
    """Tell the session of a reply that came in the turn in which we were cancelled that nobody is there."""
    if task.cancelled() or task.exception() is not None:
        return
    reply = task.result()
    if not isinstance(reply, FullReply):
        reply.session.closed(1006, "")


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _whole(reply: FullReply | UpgradeReply, request: Request, body: AsgiBody, send: Send) -> None:
    if isinstance(reply, UpgradeReply):
        error_log.error("an upgrade was the answer to a plain request for %r", _path(request))
        reply = failed_reply()
    try:
        headers, data = complete(reply, request.method)
    except ValueError as error:
        error_log.error("the answer to %r cannot be sent: %s", _path(request), error)
        reply = failed_reply()
        headers, data = complete(reply, request.method)
    if body.failed and request.http_version.startswith("1."):
        # What is left of the body is unread and would be taken for the next request.
        headers = [*headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": data, "more_body": False})


async def _stream(reply: StreamReply, request: Request, body: AsgiBody, send: Send, state: AsgiState) -> None:
    wire = sse_wire(False) if reply.format == "sse" else BODY
    link = StreamLink(reply.session, wire, send, state, SlowPolicy.CLOSE)
    head = _send_head(reply, request, body, send, link)
    await link.run(head, lambda: body.watch(link.abort, discard=True))


async def _send_head(
    reply: StreamReply, request: Request, body: AsgiBody, send: Send, link: StreamLink
) -> None:
    try:
        fields = [check_field(name, value) for name, value in reply.headers]
    except ValueError as error:
        error_log.error("the answer to %r cannot be sent: %s", _path(request), error)
        link.abort()
        await _whole(failed_reply(), request, body, send)
        return
    fields = [field for field in fields if field[0] != b"transfer-encoding"]
    head_only = request.method == "HEAD" or not has_body(reply.status)
    await send({"type": "http.response.start", "status": reply.status, "headers": fields})
    # ASGI lets a server hold the head back until the first body message: an empty one lets it go.
    await send({"type": "http.response.body", "body": b"", "more_body": not head_only})
    if head_only:
        link.finish(1000, "")


def _path(request: Request) -> bytes:
    """Return the path for the log, without the query: it may carry a token."""
    return request.target.partition(b"?")[0]
