"""One peer and its upstream: messages both ways, each side held back by the other, one end for both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from longwave.app.hooks import CloseDetails
from longwave.app.peer import Peer
from longwave.core.frames import check_close
from longwave.errors import UpstreamError
from longwave.types import SendStatus

if TYPE_CHECKING:
    from longwave.web.websocket_client import ClientSocket

__all__ = ["Relay", "Upstream", "UpstreamClose", "Watcher", "close_socket"]

error_log = logging.getLogger("longwave.error")

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
LOST: Final = 1006
TOO_BIG: Final = 1009
FAILED: Final = 1011
TLS_FAILED: Final = 1015
MAX_REASON: Final = 123
"""Bytes of a reason (RFC 6455 section 5.5)."""


class Upstream(Struct, frozen=True):
    """Whom a peer is connected to."""

    url: str


class UpstreamClose(Upstream, frozen=True):
    """How a proxied connection ended.

    `source` is who ended it: "client", "upstream", or "proxy" (a time-out, a buffer that was full, an
    upstream that could not be had). `code` and `reason` are as they came, or as the proxy closed the peer
    with them.
    """

    source: Literal["client", "upstream", "proxy"]
    code: int | None = None
    reason: str = ""
    error: BaseException | None = None


class Watcher(Struct, frozen=True):
    """Who is told of a connection, and its bounds; shared by all peers of a proxy."""

    max_buffer_size: int
    client_idle_timeout: float
    on_connect: Callable[[Peer, Upstream], Any] | None
    on_open: Callable[[Peer, Upstream], Any] | None
    on_close: Callable[[Peer, UpstreamClose], Any] | None


class Relay:
    """Joins a peer to an upstream.

    `run` connects and hands on what the upstream says, `forward` takes what the client says.
    """

    def __init__(self, peer: Peer, watcher: Watcher, forget: Callable[[Peer], object]) -> None:
        self._peer = peer
        self._watcher = watcher
        self._forget = forget
        self._url: str | None = None
        self._socket: ClientSocket | None = None
        self._early: deque[str | bytes] = deque()
        self._early_size = 0
        self._flushed = asyncio.Event()
        self._ended = False
        self._heard = asyncio.get_running_loop().time()

    async def run(
        self, connect: Callable[[Callable[[str], object]], Awaitable[ClientSocket]], within: float
    ) -> None:
        """Connect, send what the client said meanwhile, and hand on what comes."""
        try:
            async with asyncio.timeout(within or None) as limit:
                self._socket = await connect(self._chosen)
        except UpstreamError as error:
            error_log.warning("%s: %s (%r)", self._url, error.message, error.__cause__)
            self.end("upstream", FAILED, "Upstream error", error, code=None)
            return
        except TimeoutError as error:
            if limit.expired():
                self.end("proxy", FAILED, "Upstream connect timeout", error)
            else:
                self.end("proxy", FAILED, "Upstream setup failed", error)
            return
        except Exception as error:
            if not self._ended:
                error_log.error("a WebSocket proxy could not connect", exc_info=error)
            self.end("proxy", FAILED, "Upstream setup failed", error)
            return
        try:
            await self._begin(self._socket)
            await self._pump(self._socket)
        except Exception as error:
            self._upstream_ended(error)

    def forward(self, data: str | bytes) -> Awaitable[None] | None:
        """Take a message of the client: sent on, or kept until there is an upstream."""
        self._heard = asyncio.get_running_loop().time()
        if self._ended:
            return None
        if self._socket is not None:
            return self._send(self._socket, data)
        self._early_size += len(data if isinstance(data, bytes) else data.encode(errors="replace"))
        if self._watcher.max_buffer_size and self._early_size > self._watcher.max_buffer_size:
            self.end("proxy", TOO_BIG, "Proxy buffer limit exceeded")
        else:
            self._early.append(data)
        return None

    def client_closed(self, details: CloseDetails) -> None:
        """The client is gone: close the upstream, with a code that a client may send."""
        code = details.code if details.code == NORMAL or 3000 <= details.code <= 4999 else NORMAL
        self._finish(code, details.reason)
        self._notify("client", details.code, details.reason, None)

    def end(
        self,
        source: Literal["upstream", "proxy"],
        close_code: int,
        reason: str,
        error: BaseException | None = None,
        *,
        code: int | None = -1,
    ) -> None:
        """End both connections, once.

        `code` is what is told, where it is not the one that the peer is closed with.
        """
        if self._ended:
            return
        self._forget(self._peer)
        self._finish(NORMAL, "")
        reason = reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")
        try:
            check_close(close_code, reason)
        except ValueError:
            close_code = FAILED
        self._peer.close(close_code, reason)
        self._notify(source, close_code if code == -1 else code, reason, error)

    async def watch_idle(self) -> None:
        """Close with 1001 once the client was silent for `client_idle_timeout`."""
        loop = asyncio.get_running_loop()
        while (left := self._heard + self._watcher.client_idle_timeout - loop.time()) > 0:
            await asyncio.sleep(left)
        self.end("proxy", GOING_AWAY, "Client idle timeout")

    def _chosen(self, url: str) -> None:
        """Take note of the target; whoever is told may close the peer instead."""
        self._url = url
        if self._watcher.on_connect is not None:
            self._watcher.on_connect(self._peer, Upstream(url))
            if self._ended or self._peer.closed_with is not None:
                raise ConnectionAbortedError("the peer was closed before its upstream was connected")

    async def _begin(self, socket: ClientSocket) -> None:
        """Send what came early, in order; what comes meanwhile waits for that."""
        while self._early:
            await socket.send(self._early.popleft())
        self._early_size = 0
        self._flushed.set()
        if self._watcher.on_open is not None and self._url is not None:
            self._call(self._watcher.on_open, Upstream(self._url))

    async def _pump(self, socket: ClientSocket) -> None:
        peer = self._peer
        room = peer.request.app.limits.outgoing // 4
        while True:
            data = await socket.recv()
            status = peer.send(data)
            if status is SendStatus.BUFFERED:
                await peer.wait_for_drain(room)
            elif status is SendStatus.CLOSED:
                return

    async def _send(self, socket: ClientSocket, data: str | bytes) -> None:
        await self._flushed.wait()
        # Where it fails the upstream is gone, which `recv` tells.
        with contextlib.suppress(Exception):
            await socket.send(data)

    def _upstream_ended(self, error: Exception) -> None:
        from longwave.web.websocket_client import end_of

        code, reason = end_of(error)
        if code is None:
            self.end("upstream", FAILED, "Upstream error", error, code=None)
            return
        mapped = {NO_CODE: NORMAL, LOST: FAILED, TLS_FAILED: FAILED}.get(code, code)
        self.end("upstream", mapped, reason, code=code)

    def _finish(self, code: int, reason: str) -> None:
        self._ended = True
        self._early.clear()
        self._flushed.set()
        socket = self._socket
        if socket is not None:
            runtime, limit = self._peer.request.app.runtime, self._peer.request.app.timeouts.close
            runtime.background(close_socket(socket, code, reason, limit), "closing an upstream")

    def _notify(
        self,
        source: Literal["client", "upstream", "proxy"],
        code: int | None,
        reason: str,
        error: BaseException | None,
    ) -> None:
        url, self._url = self._url, None
        if url is not None and self._watcher.on_close is not None:
            self._call(self._watcher.on_close, UpstreamClose(url, source, code, reason, error))

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(self._peer, *arguments)
        except Exception as error:
            error_log.error("a callback of a WebSocket proxy failed", exc_info=error)


async def close_socket(socket: ClientSocket, code: int, reason: str, within: float) -> None:
    """Close an upstream in order, and cut it where it does not take part."""
    try:
        async with asyncio.timeout(within):
            await socket.close(code, reason)
    except Exception as error:
        error_log.debug("an upstream did not let itself be closed", exc_info=error)
    finally:
        transport = getattr(socket, "transport", None)
        if transport is not None:
            transport.abort()
