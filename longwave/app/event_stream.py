"""Server-Sent Events: a stream that a handler pushes to, or that listens to topics (WHATWG HTML 9.2)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast

from longwave.app.tasks import Callbacks, Scope, refuse
from longwave.app.values import encode_push
from longwave.contract import Link, StreamReply
from longwave.core.paths import printable
from longwave.core.sse import STREAM_FIELDS, encode_comment, encode_event, sse_wire
from longwave.hub.outgoing import Channel
from longwave.types import EventWire, Piece, SendStatus

if TYPE_CHECKING:
    from longwave.app.event import Event
    from longwave.app.hooks import WebSocketHandler

__all__ = ["EventStream", "create_event_stream"]

error_log = logging.getLogger("longwave.error")

Callback = TypeVar("Callback", bound=Callable[[], Any])


class EventStream:
    """An event stream to one client. Push to it, or let it listen to topics.

    Return it from the handler. The head goes out with the first `push` or when the handler returns, whichever
    is first.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_changes",
        "_closed",
        "_early",
        "_event",
        "_events",
        "_held",
        "_link",
        "_paused",
        "_quiet",
        "_runtime",
        "_scope",
        "channels",
        "started",
        "wire",
    )

    def __init__(self, event: Event) -> None:
        self._event = event
        self._runtime = event.app.runtime
        self._link: Link | None = None
        self._early: list[Piece] | None = None
        self._held = 0
        self._paused = False
        self._closed = False
        self._quiet = 0
        self._callbacks: Callbacks | None = None
        self._scope: Scope | None = None
        self._changes: asyncio.Event | None = None
        self._events: dict[str, str] | None = None
        self.started = False
        """Whether the head is on its way, or is not this stream's affair any more."""
        self.channels: tuple[Channel, ...] = ()
        # Until there is a link: what is published is kept as the bytes of its events.
        self.wire: EventWire = sse_wire(False)

    # What a handler uses.

    @property
    def last_event_id(self) -> str | None:
        """The last event id of a client that comes back.

        It is that of the header, or of the query `last_event_id`.
        """
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
        return await self._push(b"".join([encode_push(event) for event in events]))

    async def push_comment(self, text: str) -> bool:
        """Send a comment, which clients do not show.

        It keeps proxies from closing a silent stream.
        """
        return await self._push(encode_comment(text))

    def pause(self) -> None:
        """Keep back what is pushed and published until `resume` or `flush`.

        Up to `limits.outgoing`. Beyond it a push waits, and a publication ends the stream.
        """
        if self._is_elsewhere(self.pause):
            return
        self._paused = True

    def resume(self) -> None:
        """Send again, what was kept back first."""
        if self._is_elsewhere(self.resume):
            return
        self._paused = False
        self.flush()

    def flush(self) -> None:
        """Send what was kept back, paused or not."""
        if self._is_elsewhere(self.flush):
            return
        self._flush()

    async def close(self) -> None:
        """End the stream; what was kept back goes out first. Idempotent.

        Within `on_closed` a no-op.
        """
        if self._is_elsewhere(self.end):
            return
        self.end()

    def on_closed(self, callback: Callback) -> Callback:
        """Call back once when the stream ends, on either side.

        Usable as a decorator, sync or async. Callbacks run in order, one after the other; one that comes late
        runs after those before it.
        """
        if not self._is_elsewhere(lambda: self._add_callback(callback)):
            self._add_callback(callback)
        return callback

    def subscribe(
        self,
        topic: str,
        *,
        namespace: str | None = None,
        of: WebSocketHandler | None = None,
        event: str | None = None,
    ) -> Awaitable[None]:
        """Send what is published to a topic, in all namespaces unless one is named.

        By text, or by its handler. `event` names the event type. Bytes arrive as base64 with the type
        `longwave:binary`.
        """
        runtime = self._runtime
        runtime.hub.check(topic)
        if event is not None:
            encode_event(None, event)
        if of is not None:
            namespace = self._event.app.namespace_of(of)
        if get_ident() != runtime.thread:
            return runtime.ask_from_thread(lambda: self._subscribe(topic, namespace, event))
        return self._subscribe(topic, namespace, event)

    def unsubscribe(
        self, topic: str, *, namespace: str | None = None, of: WebSocketHandler | None = None
    ) -> Awaitable[None]:
        """Listen to a topic no more."""
        if of is not None:
            namespace = self._event.app.namespace_of(of)
        if not self._is_elsewhere(lambda: self._unsubscribe(topic, namespace)):
            self._unsubscribe(topic, namespace)
        return self._runtime.done

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task that ends with the stream; an error in it is logged.

        Raises `RuntimeError` after the end of the stream.
        """
        if self._closed:
            refuse(coroutine)
        if get_ident() != self._runtime.thread:
            return self._runtime.call_from_thread(self.spawn, coroutine)
        return self._tasks().spawn(coroutine)

    def every(self, seconds: float, function: Callable[[], Awaitable[Any] | Any]) -> asyncio.Task[Any]:
        """Call a function every `seconds`, beginning now, until the stream ends.

        Raises `RuntimeError` after the end of the stream.
        """
        if self._closed:
            refuse(None)
        if get_ident() != self._runtime.thread:
            return self._runtime.call_from_thread(self.every, seconds, function)
        return self._tasks().every(seconds, function)

    async def wait_closed(self) -> None:
        """Wait until the stream has ended, on either side."""
        if get_ident() != self._runtime.thread:
            await self._runtime.run_from_thread(self.wait_closed(), None)
            return
        while not self._closed:
            await self._changed()

    # Called by the application.

    def is_of(self, event: Event) -> bool:
        """Whether this is the stream of a request."""
        return self._event is event

    def reply(self) -> StreamReply:
        """Return the head and this stream behind it.

        From here on the link opens, or `closed` is called.
        """
        self.started = True
        staged = self._event.take_staged()
        fields = list(STREAM_FIELDS)
        if staged is not None:
            named = {name for name, _ in staged.fields}
            fields = [STREAM_FIELDS[0], *(field for field in STREAM_FIELDS[1:] if field[0] not in named)]
            fields = staged.merge(fields)
        return StreamReply(200, fields, self, "sse")

    def end(self, last: bytes = b"") -> None:
        """End the stream at once, in order, with `last` as its last bytes.

        One whose link is not open yet ends when it opens, without them.
        """
        if self._closed:
            return
        if self._link is None:
            self._finish()
            return
        self._runtime.hub.settle(self)
        self._flush()
        if last:
            self._write(self.wire.raw(last))
        link = self._link
        self._finish()
        link.close()

    def found(self, find: Callable[[str, str], Any]) -> Any:
        """Return what is found for the path and the method of the request."""
        return find(self._event.path, self._event.method)

    def beat(self, limit: float) -> None:
        """Count a second of silence; at the limit send a comment. Called by the sweep.

        While the client has not taken what was sent before, a comment would tell nobody anything.
        """
        self._quiet += 1
        if self._quiet >= limit and self._link is not None and not self._link.buffered:
            self._runtime.passed["timeouts.heartbeat"] += 1
            self._write(self.wire.raw(HEARTBEAT))

    # Called by the server (contract.Session).

    def opened(self, link: Link) -> None:
        """Send what was pushed before the head was out."""
        event = self._event
        # What is pending was framed for the stream before it had a link.
        self._runtime.hub.settle(self)
        self.started = True
        self._link = link
        self.wire = self._wire_of(link)
        early, self._early, self._held = self._early, None, 0
        was_replaced = event.task is not None and event.generation != event.app.generation
        event.release()
        if early:
            piece = self.wire.raw(b"".join(early))
            if self._paused and not self._closed:
                self._early, self._held = [piece], self.wire.size(piece)
            else:
                link.write(piece)
        if self._closed:
            self._link = None
            link.close()
            return
        self._runtime.add_stream(self)
        self._wake()
        if was_replaced:
            self.end(COME_BACK)

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
        self._early = None

    # Called by the hub (hub.Subscriber).

    def deliver(self, piece: Piece) -> None:
        """Write what the hub joined.

        A client that does not keep up is ended, and EventSource comes back.
        """
        self._quiet = 0
        link = self._link
        if link is None or self._paused:
            self._keep_published(piece)
        else:
            link.write(piece)

    # Below: how it is done.

    def _is_elsewhere(self, again: Callable[[], None]) -> bool:
        """Whether the caller is another thread; then the call is made again where it belongs."""
        if get_ident() == self._runtime.thread:
            return False
        # No loop, no stream.
        with contextlib.suppress(RuntimeError):
            self._runtime.from_thread(again)
        return True

    async def _push(self, encoded: bytes) -> bool:
        if self._closed:
            return False
        if get_ident() != self._runtime.thread:
            return await self._runtime.run_from_thread(self._push(encoded), False)
        if not self.started:
            self._begin()
        bound = self._runtime.limits.outgoing
        while self._link is None or self._paused:
            if self._held < bound:
                return self._keep_pushed(encoded)
            await self._changed()
            if self.is_closed:
                return False
        link = self._link
        if self._write(self.wire.raw(encoded)) is SendStatus.BUFFERED:
            await link.drained(bound // 2)
        return not self._closed

    def _begin(self) -> None:
        """Let the head go out now, and what comes after it; the handler then ends with the stream."""
        self.started = True
        event = self._event
        if event.reply is not None and not event.reply.done():
            if event.task is not None:
                self._tasks().adopt(event.task)
            event.reply.set_result(self.reply())

    def _write(self, piece: Piece) -> SendStatus:
        self._quiet = 0
        link = self._link
        assert link is not None
        hub = self._runtime.hub
        if hub.pending and hub.hold(self, piece):
            return (
                SendStatus.BUFFERED if link.buffered > self._runtime.limits.outgoing // 2 else SendStatus.SENT
            )
        return link.write(piece)

    def _keep_pushed(self, encoded: bytes) -> bool:
        # What was published before comes first.
        self._runtime.hub.settle(self)
        if self._closed:
            return False
        self._keep(self.wire.raw(encoded))
        return True

    def _keep(self, piece: Piece) -> None:
        if self._early is None:
            self._early = []
        self._early.append(piece)
        self._held += self.wire.size(piece)

    def _keep_published(self, piece: Piece) -> None:
        """Keep what was published while nothing is sent; too much of it ends the stream."""
        if self._closed:
            return
        if self._held < self._runtime.limits.outgoing:
            self._keep(piece)
        else:
            self._runtime.passed["limits.outgoing"] += 1
            self.end()

    def _flush(self) -> None:
        if self._link is not None and self._early:
            early, self._early, self._held = self._early, None, 0
            self._write(early[0] if len(early) == 1 else self.wire.join(early))
        self._wake()

    def _wire_of(self, link: Link | None) -> EventWire:
        wire = sse_wire(False) if link is None else cast(EventWire, link.wire)
        return wire.named(self._events) if self._events else wire

    def _subscribe(self, topic: str, namespace: str | None, event: str | None) -> Awaitable[None]:
        runtime = self._runtime
        if self._closed:
            return runtime.done
        done = runtime.hub.subscribe(self, topic, namespace) or runtime.done
        if event is not None:
            self._name({**(self._events or {}), topic: event})
        return done

    def _unsubscribe(self, topic: str, namespace: str | None) -> None:
        self._runtime.hub.unsubscribe(self, topic, namespace)
        if self._events and topic in self._events and all(c.topic != topic for c in self.channels):
            self._name({name: event for name, event in self._events.items() if name != topic})

    def _name(self, events: dict[str, str]) -> None:
        """Give topics their event types from now on."""
        self._runtime.hub.settle(self)
        self._events = events
        self.wire = self._wire_of(self._link)

    def _tasks(self) -> Scope:
        if self._scope is None:
            self._scope = Scope(self._task_failed)
        return self._scope

    def _task_failed(self, error: Exception) -> None:
        self._runtime.count_error()
        error_log.error("task of the stream %s failed", printable(self._event.path), exc_info=error)

    async def _changed(self) -> None:
        if self._changes is None:
            self._changes = asyncio.Event()
        await self._changes.wait()

    def _wake(self) -> None:
        if self._changes is not None:
            self._changes.set()
            self._changes = None

    def _finish(self) -> None:
        """What happens once, on whichever side the stream ended."""
        if self._closed:
            return
        self._closed = True
        runtime = self._runtime
        runtime.hub.leave(self)
        runtime.remove_stream(self)
        self._wake()
        if self._event.stream is self:
            # The two hold each other, and both hold much.
            self._event.stream = None
        scope, self._scope = self._scope, None
        if scope is not None:
            runtime.wait_for(scope.cancel())
        if self._callbacks is not None:
            self._callbacks.call()

    def _add_callback(self, callback: Callable[[], Any]) -> None:
        if self._callbacks is None:
            what = f"on_closed of the stream {printable(self._event.path)}"
            self._callbacks = Callbacks(self._runtime, what)
        self._callbacks.add(callback)
        if self._closed:
            self._callbacks.call()


def create_event_stream(event: Event) -> EventStream:
    """Make the event stream of a request.

    Return it from the handler, or push to it before.
    """
    if event.stream is not None:
        raise RuntimeError("this request has an event stream already")
    event.stream = EventStream(event)
    return event.stream


HEARTBEAT = encode_comment("")
COME_BACK = encode_event(None, retry=100)
"""The last words of a stream whose code was replaced."""
