"""One request of ours answered by a foreign ASGI application: its messages become a reply and a session.

ASGI 3.0, "HTTP & WebSocket ASGI Message Format"; `send` raises `OSError` for a client that is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from longwave.contract import FullReply, Link, Reply, Request, StreamReply, UpgradeReply
from longwave.core.paths import printable
from longwave.errors import RequestError
from longwave.types import Fields, SendStatus

__all__ = ["ASGI", "Exchange", "ForeignApp", "HttpExchange", "Message", "SocketExchange", "report"]

Message: TypeAlias = MutableMapping[str, Any]
ForeignApp: TypeAlias = Callable[
    [Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
"""2.3 and not 2.4: with it frameworks listen for the disconnect, so that an idle stream ends at once."""

_QUEUE: Final = 16
"""WebSocket messages that wait for the application before reading pauses; Hypercorn: 10."""
_HIGH: Final = 65536
"""Bytes that may wait for the network before `send` waits; uvicorn's HIGH_WATER_LIMIT."""


def report(what: str, error: BaseException) -> None:
    """Log an error of a mounted application, with its traceback."""
    logging.getLogger("longwave.error").error("%s failed: %s", what, error, exc_info=error)


class Exchange:
    """What HTTP and WebSocket have in common; also the `Session` of the reply."""

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._link: Link | None = None
        self._opened = asyncio.Event()
        self._gone = asyncio.Event()
        self._head: tuple[int, Fields] | None = None
        self._whole: list[bytes] = []

    async def run(self, app: ForeignApp, scope: dict[str, Any]) -> None:
        """Run the application to its end and see to it that there is a reply."""
        error: Exception | None = None
        try:
            await app(scope, self._receive, self._send)
        except Exception as raised:
            error = raised
            if not isinstance(raised, _ClientGone):
                report(f"the mounted application ({scope['type']} {printable(scope['path'])})", raised)
        finally:
            # Also on the way out of a cancellation: the one who waits for the reply must not wait for ever.
            answered = self.reply.done()
            if not answered:
                self._answer(FullReply(500, [_TEXT], b"Internal Server Error"))
        if answered:
            self._ended(error)

    def leave(self) -> None:
        """There will be no link: the client went away, or the whole answer is known."""
        self._gone.set()
        self._opened.set()

    def opened(self, link: Link) -> None:
        """`Session`: the link is there."""
        self._link = link
        self._opened.set()

    def received(self, data: str | bytes, is_text: bool) -> None:
        """`Session`: a message of the client; a response stream gets none."""

    def pinged(self, data: bytes) -> None:
        """`Session`: ASGI has no pings."""

    def ponged(self, data: bytes) -> None:
        """`Session`: ASGI has no pongs."""

    def drained(self) -> None:
        """`Session`: `send` waits on the link itself."""

    def closed(self, code: int, reason: str) -> None:
        """`Session`: the link is gone."""
        self._gone.set()
        self._opened.set()

    def _answer(self, reply: Reply) -> None:
        if not self.reply.done():
            self.reply.set_result(reply)

    def _collect(self, message: Message) -> None:
        """Take a piece of a response that goes out whole."""
        self._whole.append(bytes(message.get("body", b"")))
        if not message.get("more_body", False):
            status, headers = self._head or (500, [])
            self._answer(FullReply(status, headers, b"".join(self._whole)))

    async def _write(self, payload: bytes, is_text: bool) -> None:
        link = self._link
        if link is None or self._gone.is_set():
            raise _ClientGone("the client is gone")
        status = link.write(link.wire.frame(payload, is_text))
        if status is SendStatus.CLOSED:
            raise _ClientGone("the client is gone")
        if link.buffered > _HIGH:
            await link.drained(_HIGH // 4)

    async def _receive(self) -> Message:
        raise NotImplementedError

    async def _send(self, message: Message) -> None:
        raise NotImplementedError

    def _ended(self, error: Exception | None) -> None:
        raise NotImplementedError


class HttpExchange(Exchange):
    """One HTTP request: a whole reply if the answer is in one piece, else a stream."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._head_only = request.method == "HEAD"
        self._body = aiter(request.body) if request.body is not None else _nothing()
        self._read = False
        self._complete = False

    async def _receive(self) -> Message:
        if self._read:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            chunk = await anext(self._body, None)
        except RequestError as error:
            # ASGI has no word for why a body ends early: the client hears that from us.
            self._read = True
            headers = [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in error.headers.items()
            ]
            self._answer(FullReply(error.status, [*headers, _TEXT], error.message.encode()))
            self.leave()
            return {"type": "http.disconnect"}
        self._read = chunk is None
        return {"type": "http.request", "body": chunk or b"", "more_body": not self._read}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._head is not None:
                raise RuntimeError("http.response.start was sent twice")
            self._head = message["status"], _fields(message)
        elif message["type"] == "http.response.body":
            await self._send_body(message)
        else:
            raise RuntimeError(f"a mounted application cannot send {message['type']!r} here")

    async def _send_body(self, message: Message) -> None:
        if self._head is None:
            raise RuntimeError("http.response.body was sent before http.response.start")
        if self._complete:
            raise RuntimeError("http.response.body was sent after the end of the response")
        more = message.get("more_body", False)
        self._complete = not more
        if not self.reply.done():
            if not more:
                self._collect(message)
                self.leave()
                return
            self._answer(StreamReply(*self._head, self, "body"))
        await self._opened.wait()
        # The answer to HEAD has no body; an application that sends one is not at fault.
        if not self._head_only:
            body = message.get("body", b"")
            if body:
                await self._write(bytes(body), False)
            elif self._gone.is_set():
                raise _ClientGone("the client is gone")
        if not more and self._link is not None:
            self._link.close()

    def _ended(self, error: Exception | None) -> None:
        if not self._complete and self._link is not None:
            self._link.abort()


class SocketExchange(Exchange):
    """One WebSocket: accepted, or refused with a response."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: deque[Message] = deque([{"type": "websocket.connect"}])
        self._news = asyncio.Event()
        self._paused = False
        self._closing = False

    def leave(self) -> None:
        """The client went away before there was a reply."""
        super().leave()
        self._put({"type": "websocket.disconnect", "code": 1006, "reason": ""})

    def received(self, data: str | bytes, is_text: bool) -> None:
        """`Session`: a message of the client, held until the application asks for it."""
        self._put({"type": "websocket.receive", "text" if is_text else "bytes": data})
        if len(self._queue) >= _QUEUE and not self._paused and self._link is not None:
            self._paused = True
            self._link.pause()

    def closed(self, code: int, reason: str) -> None:
        """`Session`: the socket is gone."""
        super().closed(code, reason)
        self._put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _put(self, message: Message) -> None:
        self._queue.append(message)
        self._news.set()

    async def _receive(self) -> Message:
        while not self._queue:
            self._news.clear()
            await self._news.wait()
        message = self._queue.popleft()
        if self._paused and len(self._queue) <= _QUEUE // 2 and self._link is not None:
            self._paused = False
            self._link.resume()
        return message

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if not self.reply.done():
            await self._decide(kind, message)
        elif kind == "websocket.send" and self._link is not None and not self._closing:
            text = message.get("text")
            if text is not None:
                await self._write(text.encode(), True)
            else:
                await self._write(bytes(message["bytes"]), False)
        elif kind == "websocket.close" and self._link is not None and not self._closing:
            self._closing = True
            self._link.close(message.get("code", 1000), message.get("reason") or "")
        elif self._gone.is_set():
            raise _ClientGone("the client is gone")
        else:
            raise RuntimeError(f"a mounted application cannot send {kind!r} here")

    async def _decide(self, kind: str, message: Message) -> None:
        if self._gone.is_set():
            raise _ClientGone("the client is gone")
        if kind == "websocket.accept":
            self._answer(UpgradeReply(self, _fields(message), message.get("subprotocol")))
            await self._opened.wait()
        elif kind == "websocket.close":
            self._answer(FullReply(403, [_TEXT], b"Forbidden"))
        elif kind == "websocket.http.response.start":
            self._head = message["status"], _fields(message)
        elif kind == "websocket.http.response.body" and self._head is not None:
            self._collect(message)
        else:
            raise RuntimeError(f"a mounted application cannot send {kind!r} here")

    def _ended(self, error: Exception | None) -> None:
        if self._link is not None and not self._closing and not self._gone.is_set():
            self._link.close(1000 if error is None else 1011)


class _ClientGone(OSError):
    """What `send` raises for a client that went away; not an error of the application."""


_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk


def _fields(message: Message) -> Fields:
    return [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers") or ()]
