"""One open WebSocket as its handler sees it: the session behind a link, and the hooks run in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Set
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from longwave.app.hooked import BEHIND, FAILURES, GONE, Hooked
from longwave.app.hooks import CloseDetails
from longwave.app.message import Message
from longwave.app.tasks import Scope, refuse
from longwave.app.values import encode_value
from longwave.contract import Address, Link
from longwave.core.frames import check_close
from longwave.core.paths import printable
from longwave.errors import MessageError
from longwave.hub.outgoing import Channel
from longwave.types import Piece, SendStatus, Wire

if TYPE_CHECKING:
    from longwave.app.event import Event
    from longwave.app.route import Route
    from longwave.app.runtime import Runtime

__all__ = ["Peer", "Peers"]

SERVICE_RESTART = 1012
"""Of the registry of close codes that RFC 6455 began."""


class Peer(Hooked):
    """An open WebSocket. `str(peer)` is its id.

    `context` is that of the upgrade request. Methods may be called from any thread; from another one than the
    worker's they return `BUFFERED`.
    """

    __slots__ = (
        "__weakref__",
        "_scope",
        "channels",
        "namespace",
        "protocol",
        "request",
        "user",
        "wire",
    )

    def __init__(self, runtime: Runtime, route: Route, request: Event) -> None:
        super().__init__(runtime, route)
        self.request = request
        self.namespace: str = request.path
        self.protocol: str | None = None
        self.user: Any = None
        self.channels: tuple[Channel, ...] = ()
        self.wire: Wire
        self._scope: Scope | None = None

    # What a handler uses.

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
        return Peers(self._runtime.namespaces, self.namespace)

    @property
    def remote_address(self) -> Address | None:
        """Host and port of the client; forwarded headers count only from trusted proxies."""
        return self.request.remote_address

    @property
    def buffered_amount(self) -> int:
        """Bytes accepted for this peer and not yet taken by the network."""
        return self._link.buffered if self._link is not None else 0

    def send(self, data: Any, *, compress: bool | None = None) -> SendStatus:
        """Send a value to this peer alone; never raises for the network.

        `str` is a text message, bytes-like a binary one, a `Message` keeps its type, the rest is JSON text.
        Raises `TypeError` for None and what JSON cannot hold. `compress` says whether to compress it where
        the client agreed to that; None leaves small messages alone.
        """
        payload, is_text = encode_value(data)
        runtime = self._runtime
        if get_ident() != runtime.thread:
            # Encoded here all the same: what cannot be sent raises in the caller.
            again = partial(self.send, payload.decode() if is_text else payload, compress=compress)
            if self.closed_with is None and self._ask(again):
                return SendStatus.BUFFERED
            return SendStatus.CLOSED
        # No further call below this one: it would cost as much as the rest.
        link = self._link
        if link is None or self.closed_with is not None:
            return SendStatus.CLOSED
        piece = self.wire.frame(payload, is_text, compress)
        hub = runtime.hub
        if hub.pending:
            if link.buffered > runtime.hold_below:
                hub.settle(self)
            elif hub.hold(self, piece):
                return SendStatus.SENT
        return link.write(piece)

    def publish(
        self, topic: str, data: Any, *, include_self: bool = False, compress: bool | None = None
    ) -> None:
        """Publish to the subscribers of a topic in this namespace.

        This peer is left out unless it is included, and need not be subscribed. `compress` as for `send`.
        """
        payload, is_text = encode_value(data)
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.hub.check(topic)
            runtime.from_thread(self._publish, topic, payload, is_text, include_self, compress)
            return
        self._publish(topic, payload, is_text, include_self, compress)

    def subscribe(self, topic: str) -> Awaitable[None]:
        """Listen to a topic of this namespace; counts at once.

        Await it to know that every node delivers. Raises `ValueError` for an impossible topic, `LimitError`
        past `limits.topics_per_peer`.
        """
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.hub.check(topic)
            return runtime.ask_from_thread(lambda: self.subscribe(topic))
        if self._link is None or self.closed_with is not None:
            return runtime.done
        return runtime.hub.subscribe(self, topic, self.namespace) or runtime.done

    def unsubscribe(self, topic: str) -> Awaitable[None]:
        """Stop to listen to a topic; idempotent."""
        runtime = self._runtime
        if get_ident() != runtime.thread:
            self._ask(self.unsubscribe, topic)
            return runtime.done
        runtime.hub.unsubscribe(self, topic, self.namespace)
        return runtime.done

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order.

        What was sent before still goes out, what waits for a hook is dropped. Idempotent. Raises `ValueError`
        for a code that RFC 6455 section 7.4 does not let an endpoint send, and for a reason of more than 123
        bytes.
        """
        check_close(code, reason)
        if get_ident() != self._runtime.thread:
            self._ask(self._close, code, reason)
        else:
            self._close(code, reason)

    def terminate(self) -> None:
        """Cut the connection at once; the close hook sees 1006."""
        if get_ident() != self._runtime.thread:
            self._ask(self.terminate)
        elif self._link is not None:
            self._link.abort()

    def ping(self, data: bytes = b"") -> None:
        """Send a ping; raises `ValueError` for more than 125 bytes (RFC 6455 section 5.5)."""
        if len(data) > 125:
            raise ValueError(f"a ping carries at most 125 bytes, not {len(data)}")
        if get_ident() != self._runtime.thread:
            self._ask(self.ping, data)
        elif self._link is not None:
            self._link.ping(data)

    async def wait_for_drain(self, threshold: int = 0, timeout: float | None = None) -> None:
        """Wait until at most `threshold` bytes are buffered, or the connection is closed.

        Raises `TimeoutError` after `timeout` seconds.
        """
        runtime = self._runtime
        async with asyncio.timeout(timeout):
            if get_ident() != runtime.thread:
                await runtime.run_from_thread(self._drained(threshold), None)
            else:
                await self._drained(threshold)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task that ends with the connection.

        An error in it goes to the `error` hook. Raises `RuntimeError` after the end of the connection.
        """
        if self.closed_with is not None:
            refuse(coroutine)
        if get_ident() != self._runtime.thread:
            return self._runtime.call_from_thread(self.spawn, coroutine)
        return self._tasks().spawn(coroutine)

    def every(self, seconds: float, function: Callable[[], Awaitable[Any] | Any]) -> asyncio.Task[Any]:
        """Call a function every `seconds`, beginning now, until the connection ends.

        Raises `RuntimeError` after the end of the connection.
        """
        if self.closed_with is not None:
            refuse(None)
        if get_ident() != self._runtime.thread:
            return self._runtime.call_from_thread(self.every, seconds, function)
        return self._tasks().every(seconds, function)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Peer {self.id} {printable(self.namespace)}>"

    # Called by the server (contract.Session).

    def opened(self, link: Link) -> None:
        """Join the namespace and run the `open` hook."""
        if self._route.is_gone:
            # It went between the handshake and now: no hook runs, and the end of this has none either.
            link.close(SERVICE_RESTART, "")
            return
        self._link = link
        self.wire = link.wire
        self.request.release()
        self._runtime.namespaces.setdefault(self.namespace, {})[self] = None
        self._run("open")

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
        except FAILURES as error:
            self._fail("message hook", error)
            return
        if result is not None and hasattr(result, "__await__"):
            self._go_on("message", result)

    def pinged(self, data: bytes) -> None:
        """Run the `ping` hook."""
        if self._route.hooks.ping is not None:
            self._run("ping", data)

    def ponged(self, data: bytes) -> None:
        """Run the `pong` hook."""
        if self._route.hooks.pong is not None:
            self._run("pong", data)

    def drained(self) -> None:
        """Run the `drain` hook."""
        if self._route.hooks.drain is not None:
            self._run("drain")

    def closed(self, code: int, reason: str) -> None:
        """Leave everything, end the peer's tasks, and run the `close` hook, once.

        The hook runs after those before it. A peer that was never opened has no end.
        """
        if self._link is None or self.closed_with is not None:
            return
        details = self.closed_with = CloseDetails(code, reason)
        self._link = GONE
        self._holds = 0
        runtime = self._runtime
        runtime.hub.leave(self)
        peers = runtime.namespaces.get(self.namespace)
        if peers is not None:
            peers.pop(self, None)
            if not peers:
                del runtime.namespaces[self.namespace]
        scope, self._scope = self._scope, None
        if scope is not None:
            runtime.wait_for(scope.cancel())
        if self._task is not None:
            self._expire()
        if self._route.hooks.close is not None:
            self._run("close", details)

    # Called by the application.

    def leave_route(self) -> bool:
        """Close with 1012 if the route is served no more; returns whether it is so."""
        if self._route.is_gone:
            self._close(SERVICE_RESTART, "")
        return self._route.is_gone

    # Called by the hub (hub.Subscriber).

    def deliver(self, piece: Piece) -> None:
        """Write what the hub joined to the link."""
        self._link.write(piece)  # type: ignore[union-attr]

    # Below: how it is done.

    def _publish(
        self, topic: str, payload: bytes, is_text: bool, include_self: bool, compress: bool | None
    ) -> None:
        hub = self._runtime.hub
        exclude = None if include_self else self
        self._runtime.publish(topic, payload, is_text, self.namespace, exclude, compress)
        if hub.behind and self._link is not None and self.closed_with is None:
            self._hold(BEHIND)
            hub.when_caught_up(self._caught_up)

    def _caught_up(self) -> None:
        self._release(BEHIND)

    def _close(self, code: int, reason: str) -> None:
        if self._link is not None and self.closed_with is None:
            self._runtime.hub.settle(self)
            self._link.close(code, reason)
            self._drop_waiting("task")

    async def _drained(self, threshold: int) -> None:
        if self._link is not None and self.closed_with is None:
            self._runtime.hub.settle(self)
            await self._link.drained(threshold)

    def _ask(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Call on the loop's thread; False when there is no loop any more, and so no connection."""
        try:
            self._runtime.from_thread(function, *arguments)
        except RuntimeError:
            return False
        return True

    def _tasks(self) -> Scope:
        if self._scope is None:
            self._scope = Scope(self._task_failed)
        return self._scope

    def _task_failed(self, error: Exception) -> None:
        if self._task is None:
            self._fail("task", error, close=False)
        else:
            self._wait("task", error)

    def _answer_mistake(self, error: MessageError) -> None:
        text = str(error).encode(errors="replace").decode()
        self.send({"error": True, "status": 400, "message": text})


class Peers(Set[Peer]):
    """A read-only live view of peers; `len` costs nothing."""

    __slots__ = ("_all", "_namespace")

    def __init__(self, namespaces: dict[str, dict[Peer, None]], namespace: str) -> None:
        self._all = namespaces
        self._namespace = namespace

    def __contains__(self, peer: object) -> bool:
        return peer in self._all.get(self._namespace, ())

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._all.get(self._namespace, ())))

    def __len__(self) -> int:
        return len(self._all.get(self._namespace, ()))

    def __repr__(self) -> str:
        return f"<{len(self)} peers in {self._namespace}>"

    @classmethod
    def _from_iterable(cls, it: Any) -> Any:
        return set(it)
