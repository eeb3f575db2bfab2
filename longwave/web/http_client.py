"""One HTTP/1.1 request to an upstream, on a connection of its own, streaming both ways.

No pool: a connection that is used once cannot hold the rest of another answer, and cannot be gone already
when it is used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from longwave.core.http1 import Data, End
from longwave.core.http1_response import ResponseEvent, ResponseHead, ResponseReader
from longwave.errors import HTTPError, UpstreamError
from longwave.limits import Limits
from longwave.types import Fields
from longwave.web.targets import Target

__all__ = ["HttpClient", "UpstreamBody", "dial", "tls_of"]

READ: Final = 64 * 1024
"""Bytes of one read, and twice that is what waits before the upstream is not read: asyncio's own limit."""


class HttpClient:
    """Asks one thing of an upstream: `connect`, `ask`, then `body` or `abort`.

    `timeout` is how long the upstream may take no byte of the request and give none of the head; `idle` is
    the silence allowed in the middle of an answer. Both in seconds, 0 for any time.
    """

    def __init__(self, target: Target, limits: Limits, *, timeout: float, idle: float) -> None:
        self._target = target
        self._limits = limits
        self._timeout = timeout
        self._idle = idle
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._response: ResponseReader
        self._upload: asyncio.Task[None] | None = None
        self._upload_error: BaseException | None = None

    async def connect(self, within: float, tls: ssl.SSLContext | None) -> None:
        """Connect; raises `UpstreamError` 502, or 504 after `within` seconds."""
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(READ, loop)
        protocol = asyncio.StreamReaderProtocol(self._reader, loop=loop)
        transport = await dial(lambda: protocol, self._target, within, tls)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)

    async def ask(
        self, method: str, path: str, fields: Fields, body: AsyncIterator[bytes] | None
    ) -> ResponseHead:
        """Send a request and return the head of its answer.

        That may come before the body is sent. `fields` are complete but for framing. Raises `UpstreamError`,
        and what the body raises.
        """
        self._response = ResponseReader(method, self._limits)
        chunked = body is not None and not any(name == b"content-length" for name, _ in fields)
        lines = [f"{method} {path} HTTP/1.1".encode("ascii"), *(b"%b: %b" % field for field in fields)]
        if chunked:
            lines.append(b"transfer-encoding: chunked")
        lines += (b"connection: close", b"", b"")
        head = b"\r\n".join(lines)
        # What came by another server may not have been looked at as closely as by ours.
        if head.translate(None, _TEXT) != b"\r\n" * (len(lines) - 1):
            raise HTTPError(400, "the request holds control characters")
        self._writer.write(head)
        async with _limit(self._timeout, "the upstream did not answer in time") as limit:
            if body is not None:
                self._upload = asyncio.create_task(self._send(body, chunked, limit))
            event = await self._next()
        assert isinstance(event, ResponseHead)
        return event

    async def body(self) -> bytes | None:
        """Return the next piece of the body, None at its end; raises `UpstreamError`."""
        async with _limit(self._idle, "the upstream fell silent in the middle of its answer"):
            event = await self._next()
        return event.data if isinstance(event, Data) else None

    def abort(self) -> None:
        """Cut the connection; idempotent."""
        if self._upload is not None:
            self._upload.cancel()
        self._writer.transport.abort()

    async def _next(self) -> ResponseEvent:
        while (event := self._response.next_event()) is None:
            try:
                data = await self._read()
            except OSError:
                data = b""
            if data:
                self._response.receive(data)
            else:
                self._response.receive_end()
        if isinstance(event, End):
            self.abort()
        return event

    async def _read(self) -> bytes:
        """Read on; an error of the request's own body ends the wait for an answer."""
        upload = self._upload
        if upload is None:
            return await self._reader.read(READ)
        reading = asyncio.ensure_future(self._reader.read(READ))
        try:
            await asyncio.wait((reading, upload), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                self._upload = None
                if self._upload_error is not None:
                    raise self._upload_error
            return await reading
        finally:
            reading.cancel()

    async def _send(self, body: AsyncIterator[bytes], chunked: bool, limit: asyncio.Timeout) -> None:
        writer = self._writer
        try:
            async for piece in body:
                if not piece:
                    continue
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
                self._put_off(limit)
            if chunked:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except OSError:
            # It may have answered, and closed, without taking all: the answer says so, or its absence does.
            return
        except Exception as error:
            self._upload_error = error

    def _put_off(self, limit: asyncio.Timeout) -> None:
        if self._timeout:
            # The head may be there already: then this wait is over.
            with contextlib.suppress(RuntimeError):
                limit.reschedule(asyncio.get_running_loop().time() + self._timeout)


class UpstreamBody:
    """The body of an answer as an iterator; its end, at any time, is the connection's."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def __aiter__(self) -> UpstreamBody:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._client.body()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Cut the connection."""
        self._client.abort()


async def dial(
    protocol: Callable[[], asyncio.Protocol],
    target: Target,
    within: float,
    tls: ssl.SSLContext | None,
) -> Any:
    """Return the transport of a new connection; raises `UpstreamError`.

    `tls` is the context for a secure target.
    """
    loop = asyncio.get_running_loop()
    context = tls if target.is_secure else None
    connecting: Awaitable[tuple[Any, Any]]
    if target.socket is not None:
        name = target.host if context is not None else None
        connecting = loop.create_unix_connection(protocol, target.socket, ssl=context, server_hostname=name)
    else:
        connecting = loop.create_connection(protocol, target.host, target.port, ssl=context)
    try:
        async with _limit(within, "the upstream could not be connected to in time"):
            transport, _ = await connecting
    except OSError as error:
        # The client is not told addresses.
        raise UpstreamError(502, "the upstream cannot be reached") from error
    return transport


def tls_of(secure: bool | ssl.SSLContext, target: Target) -> ssl.SSLContext | None:
    """Return the TLS context for a target.

    `False` checks no certificate, which is for development.
    """
    if not target.is_secure:
        return None
    if isinstance(secure, ssl.SSLContext):
        return secure
    return _context(secure)


@functools.cache
def _context(secure: bool) -> ssl.SSLContext:
    # Once: it reads hundreds of certificates.
    context = ssl.create_default_context()
    if not secure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def _limit(seconds: float, message: str) -> AsyncIterator[asyncio.Timeout]:
    """Turn the end of a time into `UpstreamError` 504; 0 is any time."""
    try:
        async with asyncio.timeout(seconds or None) as limit:
            yield limit
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise UpstreamError(504, message) from error


_TEXT: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
