"""The receiving side of one HTTP request under ASGI: its body, and the news that the client went away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from longwave.asgi.state import AsgiState, Deadline
from longwave.contract import Request
from longwave.errors import RequestError

__all__ = ["AsgiBody"]

_HELD: Final = 65536
"""Bytes that are held for a handler that does not read; asyncio's own high-water mark is the same."""


class AsgiBody:
    """A request body over `receive()`, which a task of its own reads once needed.

    One task, because `receive()` is the one place where ASGI tells of the body and of the disconnect.
    """

    __slots__ = (
        "_chunks",
        "_discard",
        "_ended",
        "_error",
        "_held",
        "_limit",
        "_news",
        "_on_gone",
        "_reader",
        "_receive",
        "_room",
        "_state",
        "_total",
        "gone",
    )

    def __init__(self, receive: Callable[[], Awaitable[dict[str, Any]]], state: AsgiState) -> None:
        self._receive = receive
        self._state = state
        self._limit = state.limits.body
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._total = 0
        self._ended = False
        self._discard = False
        self._error: RequestError | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._on_gone: Callable[[], object] | None = None
        self.gone = False

    @property
    def failed(self) -> bool:
        """Whether the body could not be had whole; then the connection is not used again."""
        return self._error is not None

    async def read(self) -> bytes:
        """Return the whole body; `RequestError` 413, 408 or 400 when it cannot be had."""
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they come; raises as `read` does."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                if self._room is not None and self._held < _HELD and not self._room.done():
                    self._room.set_result(None)
                yield chunk
            if self._error is not None:
                raise self._error
            if self._ended:
                return
            await self._wait()

    def expect(self, request: Request) -> None:
        """Refuse at once, before a byte is read, what `content-length` says is too big."""
        length = request.header(b"content-length") or b""
        if length.isdigit() and int(length) > self._limit:
            self._fail(self._too_big())

    def watch(self, on_gone: Callable[[], object] | None, *, discard: bool = False) -> None:
        """Tell of the disconnect from now on, or (None) no more.

        `discard` drops the rest of the body.
        """
        self._on_gone = on_gone
        if on_gone is None:
            return
        if self.gone:
            on_gone()
            return
        if discard:
            self._discard = True
            self._chunks.clear()
            self._held = 0
            if self._room is not None and not self._room.done():
                self._room.set_result(None)
        self._start()

    def stop(self) -> None:
        """End the reading; nothing is told any more."""
        self._on_gone = None
        if self._reader is not None:
            self._reader.cancel()

    def _start(self) -> None:
        if self._reader is None:
            self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                message = await self._receive()
            except OSError:
                break
            if message["type"] == "http.disconnect":
                break
            chunk = message.get("body", b"")
            self._total += len(chunk)
            if self._total > self._limit and not self._discard:
                self._fail(self._too_big())
                self._tell()
                return
            if chunk and not self._discard:
                self._chunks.append(chunk)
                self._held += len(chunk)
            self._ended = self._ended or not message.get("more_body", False)
            self._tell()
            if self._held >= _HELD and not self._ended:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
        self.gone = True
        if not self._ended:
            self._fail(RequestError(400, "the client went away before the body was complete"))
        self._tell()
        if self._on_gone is not None:
            self._on_gone()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _wait(self) -> None:
        self._start()
        self._news = asyncio.get_running_loop().create_future()
        timer = Deadline(self._state.timeouts.body, self._stalled)
        try:
            await self._news
        finally:
            timer.cancel()

    def _stalled(self) -> None:
        message = f"no byte of the body came for {self._state.timeouts.body:g} s"
        self._fail(RequestError(408, message, limit="timeouts.body"))
        self._tell()

    def _fail(self, error: RequestError) -> None:
        if self._error is None:
            self._error = error
            if error.limit is not None:
                self._state.passed(error.limit)

    def _too_big(self) -> RequestError:
        message = f"the body is larger than the limit of {self._limit} bytes (limits.body)"
        return RequestError(413, message, limit="limits.body")
