"""One open WebSocket as its handler sees it: the session behind a link, and the hooks run in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Set
from threading import get_ident
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from longwave.app.hooks import CloseDetails
from longwave.app.message import Message
from longwave.app.scope import Scope
from longwave.app.values import encode_value
from longwave.contract import Address, Link
from longwave.core.frames import check_close
from longwave.errors import MessageError
from longwave.hub.outgoing import Channel
from longwave.types import Piece, SendStatus, Wire

if TYPE_CHECKING:
    from longwave.app.event import Event
    from longwave.app.route import Route
    from longwave.app.runtime import Runtime

__all__ = ["Peer", "Peers"]

error_log = logging.getLogger("longwave.error")

HOLD_BELOW = 64 * 1024
"""Bytes buffered up to which a `send` is merged with the turn's publications; above, its status is exact."""


class Peer:
    """An open WebSocket. `str(peer)` is its id; `context` is that of the upgrade request.

    Methods may be called from any thread; from another one than the worker's they return `BUFFERED`.
    """

    __slots__ = (
        "__weakref__",
        "_id",
        "_inbox",
        "_link",
        "_route",
        "_runtime",
        "_scope",
        "_task",
        "channels",
        "closed_with",
        "namespace",
        "protocol",
        "request",
        "user",
        "wire",
    )

    def __init__(self, runtime: Runtime, route: Route, request: Event) -> None:
        self._runtime = runtime
        self._route = route
        self.request = request
        self.namespace: str = request.path
        self.protocol: str | None = None
        self.user: Any = None
        self.channels: tuple[Channel, ...] = ()
        self.closed_with: CloseDetails | None = None
        self.wire: Wire
        self._link: Link | None = None
        self._inbox: deque[tuple[str, tuple[Any, ...]]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._scope: Scope | None = None

    # What a handler uses.

    @property
    def id(self) -> str:
        """A random UUID (version 4), made on first use and kept."""
        try:
            return self._id
        except AttributeError:
            self._id: str = str(uuid4())
            return self._id

    @property
    def context(self) -> dict[str, Any]:
        """The context of the upgrade request, kept as long as the connection."""
        return self.request.context

    @property
    def topics(self) -> frozenset[str]:
        """The topics that this peer listens to."""
        return frozenset(channel.topic for channel in self.channels)

    @property
    def peers(self) -> Peers:
        """A live view of this worker's peers in the same namespace, this one included."""
        return Peers(self._runtime.namespaces.get(self.namespace, {}))

    @property
    def remote_address(self) -> Address | None:
        """Host and port of the client; forwarded headers count only from trusted proxies."""
        return self.request.remote_address

    @property
    def buffered_amount(self) -> int:
        """Bytes accepted for this peer and not yet taken by the network."""
        return self._link.buffered if self._link is not None else 0

    def send(self, data: Any) -> SendStatus:
        """Send a value to this peer alone; never raises for the network.

        `str` is a text message, bytes-like a binary one, a `Message` keeps its type, the rest is JSON text.
        Raises `TypeError` for None and what JSON cannot hold.
        """
        payload, is_text = encode_value(data)
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.from_thread(self._send, payload, is_text)
            return SendStatus.BUFFERED
        return self._send(payload, is_text)

    def publish(self, topic: str, data: Any, *, include_self: bool = False) -> None:
        """Publish to the subscribers of a topic in this namespace.

        This peer is left out unless it is included, and need not be subscribed.
        """
        payload, is_text = encode_value(data)
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.hub.check(topic)
            runtime.from_thread(self._publish, topic, payload, is_text, include_self)
            return
        self._publish(topic, payload, is_text, include_self)

    def subscribe(self, topic: str) -> Awaitable[None]:
        """Listen to a topic of this namespace; counts at once. Await it to know that every node delivers.

        Raises `ValueError` for an impossible topic, `LimitError` past `limits.topics_per_peer`.
        """
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.hub.check(topic)
            return runtime.from_thread(self.subscribe, topic)
        if self._link is None or self.closed_with is not None:
            return runtime.done
        return runtime.hub.subscribe(self, topic, self.namespace) or runtime.done

    def unsubscribe(self, topic: str) -> Awaitable[None]:
        """Stop to listen to a topic; idempotent."""
        runtime = self._runtime
        if get_ident() != runtime.thread:
            return runtime.from_thread(self.unsubscribe, topic)
        runtime.hub.unsubscribe(self, topic, self.namespace)
        return runtime.done

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order; what was sent before still goes out. Idempotent.

        Raises `ValueError` for a code that RFC 6455 section 7.4 does not let an endpoint send, and for a
        reason of more than 123 bytes.
        """
        check_close(code, reason)
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.from_thread(self._close, code, reason)
        else:
            self._close(code, reason)

    def terminate(self) -> None:
        """Cut the connection at once; the close hook sees 1006."""
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.from_thread(self.terminate)
        elif self._link is not None:
            self._link.abort()

    def ping(self, data: bytes = b"") -> None:
        """Send a ping; raises `ValueError` for more than 125 bytes (RFC 6455 section 5.5)."""
        if len(data) > 125:
            raise ValueError(f"a ping carries at most 125 bytes, not {len(data)}")
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.from_thread(self.ping, data)
        elif self._link is not None:
            self._link.ping(data)

    async def wait_for_drain(self, threshold: int = 0, timeout: float | None = None) -> None:
        """Wait until at most `threshold` bytes are buffered, or the connection is closed.

        Raises `TimeoutError` after `timeout` seconds.
        """
        if self._link is not None:
            async with asyncio.timeout(timeout):
                self._runtime.hub.settle(self)
                await self._link.drained(threshold)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task that ends with the connection; an error in it goes to the `error` hook."""
        return self._tasks().spawn(coroutine)

    def every(self, seconds: float, function: Callable[[], Awaitable[Any] | Any]) -> asyncio.Task[Any]:
        """Call a function every `seconds`, beginning now, until the connection ends."""
        return self._tasks().every(seconds, function)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Peer {self.id} {self.namespace}>"

    # Called by the server (contract.Session).

    def opened(self, link: Link) -> None:
        """Join the namespace and run the `open` hook."""
        self._link = link
        self.wire = link.wire
        self.request.release()
        self._runtime.namespaces.setdefault(self.namespace, {})[self] = None
        hook = self._route.hooks.open
        if hook is not None:
            self._call("open", hook, self)

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Run the `message` hook, now or after the hooks that still run."""
        if self._task is not None:
            self._wait("message", Message(self, data, is_text))
            return
        hook = self._route.hooks.message
        if hook is None:
            return
        try:
            result = hook(self, Message(self, data, is_text))
        except Exception as error:
            self._failed("message", error)
            return
        if result is not None and hasattr(result, "__await__"):
            self._go_on("message", result)

    def pinged(self, data: bytes) -> None:
        """Run the `ping` hook."""
        if self._route.hooks.ping is not None:
            self._run("ping", self, data)

    def ponged(self, data: bytes) -> None:
        """Run the `pong` hook."""
        if self._route.hooks.pong is not None:
            self._run("pong", self, data)

    def drained(self) -> None:
        """Run the `drain` hook."""
        if self._route.hooks.drain is not None:
            self._run("drain", self)

    def closed(self, code: int, reason: str) -> None:
        """Leave everything, end the peer's tasks, and run the `close` hook once, after those before it."""
        details = self.closed_with = CloseDetails(code, reason)
        runtime = self._runtime
        runtime.hub.leave(self)
        peers = runtime.namespaces.get(self.namespace)
        if peers is not None:
            peers.pop(self, None)
            if not peers:
                del runtime.namespaces[self.namespace]
        if self._scope is not None:
            runtime.wait_for(self._scope.cancel())
        if self._task is not None:
            runtime.call_later(runtime.timeouts.close, self._cancel, self._task)
        if self._route.hooks.close is not None:
            self._run("close", self, details)

    # Called by the hub (hub.Subscriber).

    def deliver(self, piece: Piece) -> None:
        """Write what the hub joined to the link."""
        self._link.write(piece)  # type: ignore[union-attr]

    # Below: how it is done.

    def _send(self, payload: bytes, is_text: bool) -> SendStatus:
        link = self._link
        if link is None or self.closed_with is not None:
            return SendStatus.CLOSED
        piece = self.wire.frame(payload, is_text)
        hub = self._runtime.hub
        if hub.pending:
            if link.buffered > HOLD_BELOW:
                hub.settle(self)
            elif hub.hold(self, piece):
                return SendStatus.SENT
        return link.write(piece)

    def _publish(self, topic: str, payload: bytes, is_text: bool, include_self: bool) -> None:
        hub = self._runtime.hub
        self._runtime.publish(topic, payload, is_text, self.namespace, None if include_self else self)
        if hub.behind and self._link is not None and self.closed_with is None:
            self._link.pause()
            hub.when_caught_up(self._resume)

    def _close(self, code: int, reason: str) -> None:
        if self._link is not None and self.closed_with is None:
            self._runtime.hub.settle(self)
            self._link.close(code, reason)

    def _resume(self) -> None:
        if self._link is not None and not self._full():
            self._link.resume()

    def _full(self) -> bool:
        return self._inbox is not None and len(self._inbox) >= self._runtime.limits.waiting_messages

    def _tasks(self) -> Scope:
        if self._scope is None:
            self._scope = Scope(lambda error: self._failed("task", error, close=False))
        return self._scope

    def _run(self, name: str, *arguments: Any) -> None:
        """Run a hook now, or after those that still run."""
        if self._task is not None:
            self._wait(name, *arguments)
            return
        hook = getattr(self._route.hooks, name)
        if hook is not None:
            self._call(name, hook, *arguments)

    def _call(self, name: str, hook: Callable[..., Any], *arguments: Any) -> None:
        try:
            result = hook(*arguments)
        except Exception as error:
            self._failed(name, error)
            return
        if result is not None and hasattr(result, "__await__"):
            self._go_on(name, result)

    def _wait(self, name: str, *arguments: Any) -> None:
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append((name, arguments))
        if self._full() and self._link is not None and self.closed_with is None:
            self._link.pause()

    def _go_on(self, name: str, result: Awaitable[Any]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._await_hooks(name, result))
        self._runtime.wait_for((self._task,))
        if self.closed_with is not None:
            self._runtime.call_later(self._runtime.timeouts.close, self._cancel, self._task)

    async def _await_hooks(self, name: str, result: Awaitable[Any] | None) -> None:
        """Await a hook, then run what came meanwhile, in order, until nothing waits."""
        current = asyncio.current_task()
        assert current is not None
        try:
            while True:
                if result is not None:
                    await self._await_hook(name, result, current)
                    result = None
                if not self._inbox:
                    break
                name, arguments = self._inbox.popleft()
                if self.closed_with is None and self._link is not None and not self._full():
                    self._link.resume()
                result = self._start(name, arguments)
        finally:
            self._task = None
            self._inbox = None

    async def _await_hook(self, name: str, result: Awaitable[Any], current: asyncio.Task[None]) -> None:
        try:
            await result
        except asyncio.CancelledError:
            if self.closed_with is None:
                raise
            # The peer went away and the hook took too long: what waits is dropped but for the close hook.
            current.uncancel()
            if self._inbox is not None:
                self._inbox = deque(entry for entry in self._inbox if entry[0] == "close")
                self._runtime.call_later(self._runtime.timeouts.close, self._cancel, current)
        except Exception as error:
            self._failed(name, error)

    def _start(self, name: str, arguments: tuple[Any, ...]) -> Awaitable[Any] | None:
        hook = getattr(self._route.hooks, name)
        if hook is None:
            return None
        try:
            if name == "message":
                result = hook(self, *arguments)
            else:
                result = hook(*arguments)
        except Exception as error:
            self._failed(name, error)
            return None
        return result if result is not None and hasattr(result, "__await__") else None

    def _cancel(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            task.cancel()

    def _failed(self, name: str, error: Exception, *, close: bool = True) -> None:
        """Give an error to the `error` hook; all but a `MessageError` closes this peer with 1011."""
        hook = self._route.hooks.error
        mistake = isinstance(error, MessageError) and name == "message"
        if not mistake:
            self._runtime.count_error()
            error_log.error("%s hook of %s failed", name, self._route, exc_info=error)
        elif hook is None:
            self.send({"error": True, "status": 400, "message": str(error)})
            return
        if hook is not None and name != "error":
            self._report(hook, error)
        if close and not mistake and self.closed_with is None:
            self._close(1011, "")

    def _report(self, hook: Callable[..., Any], error: Exception) -> None:
        try:
            result = hook(self, error)
        except Exception as second:
            error_log.error("error hook of %s failed", self._route, exc_info=second)
            return
        if result is not None and hasattr(result, "__await__"):
            self._runtime.background(result, f"error hook of {self._route}")


class Peers(Set[Peer]):
    """A read-only live view of peers; `len` costs nothing."""

    __slots__ = ("_peers",)

    def __init__(self, peers: dict[Peer, None]) -> None:
        self._peers = peers

    def __contains__(self, peer: object) -> bool:
        return peer in self._peers

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._peers))

    def __len__(self) -> int:
        return len(self._peers)

    @classmethod
    def _from_iterable(cls, it: Any) -> Any:
        return set(it)
