"""A request body on its way from the socket to whoever reads it, with a bound in between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from longwave.errors import RequestError

__all__ = ["BodySource", "RequestBody"]

BUFFER = 64 * 1024
"""Bytes that wait for the reader; above it the socket is not read. asyncio.StreamReader: 64 KiB."""


class BodySource(Protocol):
    """What a body asks of its connection."""

    def body_wanted(self) -> None:
        """Somebody reads: send `100 Continue` if the client waits for it, and read on."""


class RequestBody:
    """The `Body` of one request."""

    __slots__ = ("_ended", "_error", "_loop", "_pieces", "_source", "_waiter", "received", "size")

    def __init__(self, source: BodySource, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._error: RequestError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.size = 0
        self.received = 0

    # For the handler.

    async def read(self) -> bytes:
        """Return what is left of the body.

        Raises `RequestError` when it does not come whole.
        """
        pieces = []
        while (piece := await self._take()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they come; raises as `read` does."""
        while (piece := await self._take()) is not None:
            yield piece

    # For the connection.

    @property
    def is_full(self) -> bool:
        """Whether no more should be fed until somebody reads."""
        return self.size >= BUFFER

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the next piece."""
        return self._waiter is not None

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        self._pieces.append(data)
        self.size += len(data)
        self.received += len(data)
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self._ended = True
        self._wake()

    def fail(self, error: RequestError) -> None:
        """The body will never be complete; who reads it gets the error."""
        if not self._ended and self._error is None:
            self._error = error
            self._pieces.clear()
            self.size = 0
            self._wake()

    async def _take(self) -> bytes | None:
        asked = False
        while True:
            if self._error is not None:
                raise self._error
            if self._pieces:
                piece = self._pieces.popleft()
                was_full = self.is_full
                self.size -= len(piece)
                if was_full and not self.is_full:
                    self._source.body_wanted()
                return piece
            if self._ended:
                return None
            if not asked:
                asked = True
                self._source.body_wanted()
                continue
            if self._waiter is not None:
                raise RuntimeError("the body is being read by another task already")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
