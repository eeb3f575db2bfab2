"""An open WebSocket and an open event stream as a test holds them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from longwave.testing.events import EventParser, ServerEvent
from longwave.testing.link import Frame, SocketLink, StreamLink, settle
from longwave.testing.response import ConnectionClosed, Headers

__all__ = ["EventConnection", "WebSocketConnection", "within"]

T = TypeVar("T")

_SHOWN = 5
"""Messages that a time-out shows of what had come before."""


async def within(seconds: float, work: Awaitable[T], message: Callable[[], str]) -> T:
    """Return what `work` returns; `TimeoutError` with the message past the timeout."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        raise TimeoutError(message()) from error


class WebSocketConnection:
    """A WebSocket of `TestClient`; `async for` yields messages until it is closed."""

    def __init__(
        self, link: SocketLink, path: str, timeout: float, headers: Headers, protocol: str | None
    ) -> None:
        self._link = link
        self._what = f"the WebSocket {path}"
        self._timeout = timeout
        self._waiting: deque[Frame] = deque()
        self._seen: deque[str] = deque(maxlen=_SHOWN)
        self._count = 0
        self.headers = headers
        """The extra headers of the handshake's response."""
        self.protocol = protocol
        """The subprotocol that was chosen."""

    @property
    def close_code(self) -> int | None:
        """The code it was closed with by either side; None while open, 1006: it was cut."""
        return None if self._link.outcome is None else self._link.outcome[0]

    @property
    def close_reason(self) -> str | None:
        """The reason it was closed with; None while it is open."""
        return None if self._link.outcome is None else self._link.outcome[1]

    @property
    def pings(self) -> list[bytes]:
        """The pings of the application so far."""
        return self._link.pings

    @property
    def answer_pings(self) -> bool:
        """Whether pings are answered, as every browser does; False: a client that is gone."""
        return self._link.answer_pings

    @answer_pings.setter
    def answer_pings(self, value: bool) -> None:
        self._link.answer_pings = value

    async def send(self, data: str | bytes) -> None:
        """Send a text or a binary message; waits while the application does not read."""
        self._check_open()
        self._link.put((data, isinstance(data, str)))
        await asyncio.sleep(0)
        if self._link.unread:
            await within(
                self._timeout,
                self._link.all_read(),
                lambda: (
                    f"{self._what}: the application read no message for {self._timeout:g} s; "
                    f"{self._link.unread} wait, {self._link.buffered} bytes are not received"
                ),
            )

    async def send_json(self, value: Any) -> None:
        """Send a value as JSON text."""
        await self.send(msgspec.json.encode(value).decode())

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message.

        Raises `TimeoutError` after `timeout` seconds (default: the client's) and `ConnectionClosed` when
        the WebSocket is closed and all that came before was received.
        """
        limit = self._timeout if timeout is None else timeout
        frame = await within(limit, self._next(), lambda: self._missing(limit))
        data = frame.payload.decode() if frame.is_text else frame.payload
        self._count += 1
        self._seen.append(repr(data) if len(data) <= 100 else f"{data[:100]!r}... ({len(data)})")
        return data

    async def receive_json(self, type: Any = None, timeout: float | None = None) -> Any:
        """Return the next message decoded as JSON, as the `type` if one is given."""
        data = await self.receive(timeout)
        return json.loads(data) if type is None else msgspec.json.decode(data, type=type)

    async def ping(self, data: bytes = b"") -> None:
        """Send a ping."""
        self._check_open()
        self._link.session.pinged(data)
        await asyncio.sleep(0)

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close from the client's side, and let the application react.

        None is a close without a code.
        """
        if self._link.outcome is None:
            self._link.put((1005 if code is None else code, reason))
            await settle()
            if self._link.outcome is None:
                # It does not read: a client gives the answer some time, and then cuts.
                self._link.abort()
        await settle()

    async def abort(self) -> None:
        """Vanish: the application sees 1006."""
        self._link.abort()
        await settle()

    async def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until it is closed, throwing away what still comes, and return the code."""
        limit = self._timeout if timeout is None else timeout
        await within(limit, self._drain(), lambda: f"{self._what} was not closed within {limit:g} s")
        return self.close_code or 1006

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def _next(self) -> Frame:
        while not self._waiting:
            for piece in self._link.take():
                self._waiting.extend(piece)
            if not self._waiting:
                if self._link.outcome is not None:
                    raise ConnectionClosed(self._what, *self._link.outcome)
                await self._link.wait()
        return self._waiting.popleft()

    async def _drain(self) -> None:
        try:
            while True:
                await self._next()
        except ConnectionClosed:
            await settle()

    def _check_open(self) -> None:
        if self._link.outcome is not None:
            raise ConnectionClosed(self._what, *self._link.outcome)

    def _missing(self, limit: float) -> str:
        before = _history(self._count, self._seen, "message")
        return f"{self._what}: no message came within {limit:g} s; {before}"


class EventConnection:
    """An event stream of `TestClient`; `async for` yields events until it ends."""

    def __init__(self, link: StreamLink, path: str, timeout: float, status: int, headers: Headers) -> None:
        self._link = link
        self._what = f"the stream {path}"
        self._timeout = timeout
        self._parser = EventParser()
        self._waiting: deque[ServerEvent] = deque()
        self._seen: deque[str] = deque(maxlen=_SHOWN)
        self._count = 0
        self.status = status
        self.headers = headers

    @property
    def ended(self) -> bool:
        """Whether the stream has ended; what came before may be there to receive."""
        return self._link.outcome is not None

    @property
    def last_event_id(self) -> str:
        """What a browser would send as `Last-Event-ID` now."""
        self._take()
        return self._parser.last_event_id

    @property
    def retry(self) -> int | None:
        """The last `retry` in milliseconds."""
        self._take()
        return self._parser.retry

    @property
    def comments(self) -> list[str]:
        """The comments so far, heartbeats for one."""
        self._take()
        return self._parser.comments

    async def receive(self, timeout: float | None = None) -> ServerEvent:
        """Return the next event.

        Raises `TimeoutError` after `timeout` seconds (default: the client's) and `ConnectionClosed` when
        the stream has ended and all events were received.
        """
        limit = self._timeout if timeout is None else timeout
        event = await within(limit, self._next(), lambda: self._missing(limit))
        self._count += 1
        self._seen.append(repr(event.data) if len(event.data) <= 100 else f"{event.data[:100]!r}...")
        return event

    async def receive_json(self, type: Any = None, timeout: float | None = None) -> Any:
        """Return the data of the next event decoded as JSON."""
        return (await self.receive(timeout)).json(type)

    async def close(self) -> None:
        """Go away, as a browser that closes the page."""
        self._link.abort()
        await settle()

    def __aiter__(self) -> AsyncIterator[ServerEvent]:
        return self

    async def __anext__(self) -> ServerEvent:
        try:
            return await self.receive()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def _next(self) -> ServerEvent:
        while not self._waiting:
            self._take()
            if not self._waiting:
                if self._link.outcome is not None:
                    raise ConnectionClosed(self._what, *self._link.outcome)
                await self._link.wait()
        return self._waiting.popleft()

    def _take(self) -> None:
        for piece in self._link.take():
            self._waiting.extend(self._parser.feed(piece))

    def _missing(self, limit: float) -> str:
        text = f"{self._what}: no event came within {limit:g} s; {_history(self._count, self._seen, 'event')}"
        comments = len(self._parser.comments)
        return f"{text}; {comments} comments" if comments else text


def _history(count: int, seen: deque[str], what: str) -> str:
    if not count:
        return f"no {what} had come before"
    last = f", the last {len(seen)}" if count > len(seen) else ""
    return f"{count} had come before{last}: {', '.join(seen)}"
