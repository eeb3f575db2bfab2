"""Server-Sent Events: a stream that a handler pushes to, or that listens to topics (WHATWG HTML 9.2)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast

from longwave.app.scope import Scope
from longwave.app.values import encode_value
from longwave.contract import Link, StreamReply
from longwave.core.sse import encode_comment, encode_event
from longwave.hub.outgoing import Channel
from longwave.types import EventWire, Piece, SendStatus

if TYPE_CHECKING:
    from longwave.app.event import Event
    from longwave.app.hooks import WebSocketHandler

__all__ = ["END_ID", "NOTHING", "EventMessage", "EventStream", "close_items", "create_event_stream", "pump"]

error_log = logging.getLogger("longwave.error")

END_ID = "longwave-end"
Callback = TypeVar("Callback", bound=Callable[[], Any])


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One event with its fields; `data` is a `str` or anything JSON, `retry` is in milliseconds."""

    data: Any = ""
    event: str | None = None
    id: str | None = None
    retry: int | None = None


class EventStream:
    """An event stream to one client. Push to it, or let it listen to topics; return it from the handler.

    The head goes out with the first `push` or when the handler returns, whichever is first.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_closed",
        "_early",
        "_event",
        "_events",
        "_link",
        "_open",
        "_paused",
        "_quiet",
        "_runtime",
        "_scope",
        "_started",
        "channels",
        "wire",
    )

    def __init__(self, event: Event) -> None:
        self._event = event
        self._runtime = event.app.runtime
        self._link: Link | None = None
        self._early: list[bytes] = []
        self._paused = False
        self._started = False
        self._closed = False
        self._quiet = 0
        self._callbacks: list[Callable[[], Any]] = []
        self._scope: Scope | None = None
        self._open: asyncio.Event | None = None
        self._events: dict[str, str] = {}
        self.channels: tuple[Channel, ...] = ()
        self.wire: EventWire

    # What a handler uses.

    @property
    def last_event_id(self) -> str | None:
        """The last event id of a client that comes back: the header, or the query `last_event_id`."""
        return self._event.last_event_id

    @property
    def is_paused(self) -> bool:
        """Whether pushes are kept back."""
        return self._paused

    @property
    def is_closed(self) -> bool:
        """Whether the stream has ended, on either side."""
        return self._closed

    def send(self) -> EventStream:
        """Return the stream itself: the original's spelling of `return stream`."""
        return self

    async def push(self, *events: Any) -> bool:
        """Send events, several as one write; False when the stream is closed, else True.

        A `str` is data, an `EventMessage` its fields, anything else JSON. Waits for room when the client is
        slow. Raises `ValueError` for a line break or NUL in `id` or `event`, or a lone surrogate anywhere.
        """
        return await self._push(b"".join([_encode(event) for event in events]))

    async def push_comment(self, text: str) -> bool:
        """Send a comment, which clients do not show; it keeps proxies from closing a silent stream."""
        return await self._push(encode_comment(text))

    def pause(self) -> None:
        """Keep pushes back until `resume` or `flush`; beyond `limits.outgoing` a push waits."""
        if self._is_elsewhere(self.pause):
            return
        self._paused = True

    def resume(self) -> None:
        """Let pushes through again, those that were kept back first."""
        if self._is_elsewhere(self.resume):
            return
        self._paused = False
        self.flush()

    def flush(self) -> None:
        """Send what was kept back, paused or not."""
        if self._is_elsewhere(self.flush):
            return
        if self._link is not None and self._early:
            kept, self._early = b"".join(self._early), []
            self._write(kept)
        self._wake()

    async def close(self) -> None:
        """End the stream; what was kept back goes out first. Idempotent; within `on_closed` a no-op."""
        if self._is_elsewhere(self.end):
            return
        self.end()

    def on_closed(self, callback: Callback) -> Callback:
        """Call back once when the stream ends, on either side; usable as a decorator, sync or async."""
        if self._closed:
            late: list[Callable[[], Any]] = [callback]
            self._runtime.loop.call_soon(self._run_callbacks, late)
        else:
            self._callbacks.append(callback)
        return callback

    def subscribe(
        self,
        topic: str,
        *,
        namespace: str | None = None,
        of: WebSocketHandler | None = None,
        event: str | None = None,
    ) -> Awaitable[None]:
        """Send what is published to a topic, in all namespaces unless one is named, or that of a handler.

        `event` names the event type. Bytes arrive as base64 with the type `longwave:binary`.
        """
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.hub.check(topic)
            return runtime.from_thread(lambda: self.subscribe(topic, namespace=namespace, of=of, event=event))
        if self._closed:
            return runtime.done
        if of is not None:
            namespace = self._event.app.namespace_of(of)
        if event is not None:
            encode_event(None, event)
            self._events[topic] = event
            self._rewire()
        return runtime.hub.subscribe(self, topic, namespace) or runtime.done

    def unsubscribe(self, topic: str, *, namespace: str | None = None) -> Awaitable[None]:
        """Listen to a topic no more."""
        runtime = self._runtime
        if get_ident() != runtime.thread:
            return runtime.from_thread(lambda: self.unsubscribe(topic, namespace=namespace))
        runtime.hub.unsubscribe(self, topic, namespace)
        return runtime.done

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task that ends with the stream; an error in it is logged."""
        return self._tasks().spawn(coroutine)

    def every(self, seconds: float, function: Callable[[], Awaitable[Any] | Any]) -> asyncio.Task[Any]:
        """Call a function every `seconds`, beginning now, until the stream ends."""
        return self._tasks().every(seconds, function)

    async def wait_closed(self) -> None:
        """Wait until the stream has ended, on either side."""
        while not self._closed:
            await self._changed()

    # Called by the application.

    @property
    def started(self) -> bool:
        """Whether the head is on its way."""
        return self._started

    def reply(self) -> StreamReply:
        """Return the head and this stream behind it; from here on the link opens, or `closed` is called."""
        self._started = True
        staged = self._event.staged
        fields = [*HEAD, *staged.fields] if staged is not None else list(HEAD)
        return StreamReply(200, fields, self, "sse")

    def end_after_head(self) -> None:
        """Have the stream end as soon as its head is out."""
        self._started = self._closed = True

    def end(self) -> None:
        """End the stream at once, in order."""
        if self._closed:
            return
        if self._link is not None:
            self._runtime.hub.settle(self)
            self.flush()
            self._finish()
            self._link.close()
        elif not self._started:
            self._finish()
        else:
            self._closed = True

    def beat(self, limit: float) -> None:
        """Count a second of silence; at the limit send a comment. Called by the sweep."""
        self._quiet += 1
        if self._quiet >= limit and self._link is not None and not self._paused:
            self._write(HEARTBEAT)

    # Called by the server (contract.Session).

    def opened(self, link: Link) -> None:
        """Send what was pushed before the head was out."""
        self._link = link
        self.wire = cast(EventWire, link.wire)
        self._event.release()
        self._rewire()
        ended, self._closed = self._closed, False
        if not self._paused or ended:
            self.flush()
        self._wake()
        self._runtime.add_stream(self)
        if ended:
            self.end()

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Nothing comes on a stream."""

    def pinged(self, data: bytes) -> None:
        """Nothing comes on a stream."""

    def ponged(self, data: bytes) -> None:
        """Nothing comes on a stream."""

    def drained(self) -> None:
        """Let pushes that waited for room go on."""
        self._wake()

    def closed(self, code: int, reason: str) -> None:
        """The client is gone, or the end was sent."""
        self._link = None
        self._finish()

    # Called by the hub (hub.Subscriber).

    def deliver(self, piece: Piece) -> None:
        """Write what the hub joined; a client that does not keep up is ended, and EventSource comes back."""
        self._quiet = 0
        link = self._link
        if link is None:
            return
        if self._early and self._paused:
            self.flush()
        link.write(piece)

    # Below: how it is done.

    def _is_elsewhere(self, again: Callable[[], None]) -> bool:
        """Whether the caller is another thread; then the call is made again where it belongs."""
        if get_ident() == self._runtime.thread:
            return False
        self._runtime.from_thread(again)
        return True

    async def _push(self, encoded: bytes) -> bool:
        if self._closed:
            return False
        if get_ident() != self._runtime.thread:
            there = asyncio.run_coroutine_threadsafe(self._push(encoded), self._runtime.loop)
            return await asyncio.wrap_future(there)
        if not self._started:
            self._begin()
        if self._link is None or self._paused:
            self._early.append(encoded)
            while self._held() > self._runtime.limits.outgoing and not self._closed:
                await self._changed()
            return not self._closed
        if self._write(encoded) is SendStatus.BUFFERED and self._link is not None:
            await self._link.drained(self._runtime.limits.outgoing // 2)
        return not self._closed

    def _begin(self) -> None:
        self._started = True
        reply = self._event.reply
        if reply is not None and not reply.done():
            reply.set_result(self.reply())

    def _write(self, encoded: bytes) -> SendStatus:
        self._quiet = 0
        link = self._link
        assert link is not None
        piece = self.wire.raw(encoded)
        hub = self._runtime.hub
        if hub.pending and hub.hold(self, piece):
            return (
                SendStatus.BUFFERED if link.buffered > self._runtime.limits.outgoing // 2 else SendStatus.SENT
            )
        return link.write(piece)

    def _held(self) -> int:
        return sum(map(len, self._early))

    def _rewire(self) -> None:
        if self._events and self._link is not None:
            self._runtime.hub.settle(self)
            self.wire = cast(EventWire, self._link.wire).named(self._events)

    def _tasks(self) -> Scope:
        if self._scope is None:
            self._scope = Scope(self._task_failed)
        return self._scope

    def _task_failed(self, error: Exception) -> None:
        self._runtime.count_error()
        error_log.error("task of the stream %s failed", self._event.path, exc_info=error)

    async def _changed(self) -> None:
        if self._open is None:
            self._open = asyncio.Event()
        await self._open.wait()

    def _wake(self) -> None:
        if self._open is not None:
            self._open.set()
            self._open = None

    def _finish(self) -> None:
        """What happens once, on whichever side the stream ended."""
        if self._closed and self.channels == () and not self._callbacks and self._scope is None:
            return
        self._closed = True
        self._runtime.hub.leave(self)
        self._runtime.remove_stream(self)
        self._early = []
        self._wake()
        if self._scope is not None:
            self._runtime.wait_for(self._scope.cancel())
            self._scope = None
        callbacks, self._callbacks = self._callbacks, []
        if callbacks:
            self._run_callbacks(callbacks)

    def _run_callbacks(self, callbacks: list[Callable[[], Any]]) -> None:
        self._runtime.background(self._call_each(callbacks), "on_closed")

    async def _call_each(self, callbacks: list[Callable[[], Any]]) -> None:
        for callback in callbacks:
            try:
                result = callback()
                if inspect.isawaitable(result):
                    await result
            except Exception as error:
                self._runtime.count_error()
                error_log.error("on_closed of the stream %s failed", self._event.path, exc_info=error)


def create_event_stream(event: Event) -> EventStream:
    """Make the event stream of a request; return it from the handler, or push to it before."""
    if event.stream is not None:
        raise RuntimeError("this request has an event stream already")
    event.stream = EventStream(event)
    return event.stream


async def pump(stream: EventStream, first: Awaitable[Any], items: AsyncIterator[Any]) -> None:
    """Push what an async iterator yields, its first item awaited already, and end for good.

    The last event has an id that makes a returning EventSource be answered 204, so that it stops.
    """
    try:
        item = await first
        while item is not NOTHING:
            if not await stream.push(item):
                return
            item = await anext(items, NOTHING)
        await stream.push(EventMessage("", event="longwave:end", id=END_ID))
    finally:
        await close_items(items)
        stream.end()


async def close_items(items: AsyncIterator[Any]) -> None:
    """Close an async generator, so that its `finally` blocks run now."""
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


def _encode(event: Any) -> bytes:
    if isinstance(event, str):
        return encode_event(event)
    if isinstance(event, EventMessage):
        return encode_event(_data(event.data), event.event, event.id, event.retry)
    return encode_event(_data(event))


def _data(data: Any) -> str | bytes | None:
    if data is None or isinstance(data, str):
        return data
    payload, is_text = encode_value(data)
    if not is_text:
        raise TypeError("an event carries text: encode bytes first, as base64 for instance")
    return payload


NOTHING: Any = object()
"""Stands for the end of an async iterator."""
HEARTBEAT = encode_comment("")
HEAD = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"private, no-cache, no-store, no-transform, must-revalidate, max-age=0"),
    (b"x-accel-buffering", b"no"),
)
