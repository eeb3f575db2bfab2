"""`create_websocket_proxy`: a WebSocket handler whose peers talk to another WebSocket server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from longwave.app.event import Event
from longwave.app.hooks import CloseDetails, UpgradeResult, WebSocketHandler
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.app.response import HeadersInit, Response, encode_fields
from longwave.core.handshake import offered_protocols
from longwave.errors import DefinitionError, UpstreamError
from longwave.types import Compression
from longwave.web.relay import Relay, Upstream, UpstreamClose, Watcher, close_socket
from longwave.web.targets import end_to_end, parse_target

if TYPE_CHECKING:
    from longwave.web.websocket_client import ClientSocket, Refused

__all__ = ["Upstream", "UpstreamClose", "WebSocketProxy", "create_websocket_proxy"]

Client: TypeAlias = Peer | Event
"""What a function among the options is given: the peer, or before there is one the event."""
Target: TypeAlias = str | Callable[[Any], str | Awaitable[str]]
ForwardProtocol: TypeAlias = (
    bool | str | Iterable[str] | Mapping[str, str] | Callable[[Any], str | Iterable[str | None] | None]
)

MAX_BUFFER: Final = 1024 * 1024
"""Bytes that a client may send before its upstream is connected; crossws: 1 MiB."""
CONNECT: Final = 10.0
"""Seconds until an upstream is connected; crossws: 10 s."""


def create_websocket_proxy(
    target: Target,
    *,
    forward_protocol: ForwardProtocol = True,
    headers: HeadersInit | Callable[[Any], HeadersInit | None] | None = None,
    websocket_options: Mapping[str, Any] | Callable[[Any], Mapping[str, Any] | None] | None = None,
    websocket: Callable[..., Awaitable[Any]] | None = None,
    max_buffer_size: int = MAX_BUFFER,
    connect_timeout: float = CONNECT,
    client_idle_timeout: float = 0,
    connect: Literal["open", "upgrade"] = "open",
    upgrade: Callable[[Event], Any] | None = None,
    compress: bool | Compression | None = None,
    namespace: str | None = None,
    on_upstream_connect: Callable[[Peer, Upstream], Any] | None = None,
    on_upstream_open: Callable[[Peer, Upstream], Any] | None = None,
    on_upstream_close: Callable[[Peer, UpstreamClose], Any] | None = None,
) -> WebSocketProxy:
    """Make a handler that joins each of its peers to a WebSocket of another server.

    `target` is `ws://`, `wss://` or `ws+unix:///run/app.sock:/path`, or a function of the peer that returns
    one, now or later; so may `headers`, `forward_protocol` and `websocket_options` be. What the options mean
    stands in docs/how-to/proxy.md. Without an `upgrade` hook that says who may, everybody may use the target.
    Raises `DefinitionError` for options that cannot be.
    """
    if isinstance(target, str):
        try:
            parse_target(target, ("ws", "wss"))
        except ValueError as error:
            raise DefinitionError(str(error)) from None
    if connect not in ("open", "upgrade"):
        raise DefinitionError(f'connect is "open" or "upgrade", not {connect!r}')
    proxy = WebSocketProxy()
    proxy.compress = compress
    proxy.namespace = namespace
    proxy.target = target
    proxy.forward_protocol = forward_protocol
    proxy.headers = headers
    proxy.websocket_options = websocket_options
    proxy.websocket = websocket
    proxy.connect_timeout = connect_timeout
    proxy.early = connect == "upgrade"
    proxy.admit = upgrade
    proxy.watcher = Watcher(
        max_buffer_size, client_idle_timeout, on_upstream_connect, on_upstream_open, on_upstream_close
    )
    return proxy


class WebSocketProxy(WebSocketHandler):
    """What `create_websocket_proxy` makes: the hooks of a proxied WebSocket."""

    target: Target
    forward_protocol: ForwardProtocol
    headers: HeadersInit | Callable[[Any], HeadersInit | None] | None
    websocket_options: Mapping[str, Any] | Callable[[Any], Mapping[str, Any] | None] | None
    websocket: Callable[..., Awaitable[Any]] | None
    connect_timeout: float
    early: bool
    admit: Callable[[Event], Any] | None
    watcher: Watcher

    def __init__(self) -> None:
        self._relays: dict[Peer, Relay] = {}
        self._connected: dict[Event, _Connected] = {}

    async def upgrade(self, event: Event) -> Any:
        """Ask the `upgrade` option; choose the subprotocol, or connect already."""
        result = None
        if self.admit is not None:
            result = self.admit(event)
            if hasattr(result, "__await__"):
                result = await result
            if isinstance(result, Exception):
                return result
        result = result or UpgradeResult()
        if self.early:
            return await self._connect_early(event, result)
        offered = offered_protocols(event.fields)
        if result.protocol is None and offered and self.forward_protocol is not False:
            result = replace(result, protocol=offered[0])
        return result

    def open(self, peer: Peer) -> None:
        """Connect to the upstream."""
        relay = self._relays[peer] = Relay(peer, self.watcher, self._forget)
        held = self._connected.pop(peer.request, None)
        if held is None:
            peer.spawn(relay.run(lambda chosen: self._connect(peer, chosen), self.connect_timeout))
        else:
            held.timer.cancel()
            peer.spawn(relay.run(lambda chosen: _taken(held, chosen), 0))
        if self.watcher.client_idle_timeout:
            peer.spawn(relay.watch_idle())

    def message(self, peer: Peer, message: Message) -> Awaitable[None] | None:
        """Hand a message on; no further one is taken until the upstream has room."""
        relay = self._relays.get(peer)
        return None if relay is None else relay.forward(message.raw)

    def close(self, peer: Peer, details: CloseDetails) -> None:
        """Close the upstream."""
        relay = self._relays.pop(peer, None)
        if relay is not None:
            relay.client_closed(details)

    def _forget(self, peer: Peer) -> None:
        self._relays.pop(peer, None)

    async def _connect(self, client: Client, chosen: Callable[[str], object]) -> ClientSocket:
        """Find the target, tell it, and connect to it; the time limit is the caller's."""
        url = await _resolve(self.target, client)
        target = parse_target(url, ("ws", "wss"))
        chosen(url)
        event = client.request if isinstance(client, Peer) else client
        options = dict(await _resolve(self.websocket_options, client) or {})
        given = await _resolve(self.headers, client)
        fallback = options.pop("headers", ())
        fields = encode_fields(fallback if given is None else given)
        protocols = await self._protocols(client, event)
        if self.websocket is not None:
            texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
            found: ClientSocket = await self.websocket(url, protocols, texts, **options)
            return found
        from longwave.web.websocket_client import connect

        options.setdefault("max_size", event.app.limits.message)
        return await connect(target, protocols, fields, within=0, **options)

    async def _protocols(self, client: Client, event: Event) -> list[str]:
        """Return what is offered to the upstream; `forward_protocol` says."""
        wanted = self.forward_protocol
        if wanted is False:
            return []
        offered = offered_protocols(event.fields)
        if wanted is True:
            return offered
        if isinstance(wanted, Mapping):
            return _names(wanted.get(name, name) for name in offered)
        return _names(await _resolve(wanted, client))

    async def _connect_early(self, event: Event, result: UpgradeResult) -> Any:
        """Connect before the client is accepted: the upstream's refusal and subprotocol are the client's."""
        from longwave.web.websocket_client import Refused

        urls: list[str] = []
        try:
            async with asyncio.timeout(self.connect_timeout or None) as limit:
                socket = await self._connect(event, urls.append)
        except Refused as refused:
            return _refusal(refused)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise UpstreamError(504, "the upstream could not be connected to in time") from error
        # Nobody tells us when the client goes before it hears of its acceptance.
        timer = asyncio.get_running_loop().call_later(CONNECT, self._abandon, event)
        self._connected[event] = _Connected(urls[0], socket, timer)
        offered = offered_protocols(event.fields)
        if result.protocol is None and socket.subprotocol is not None and offered:
            name = socket.subprotocol if socket.subprotocol in offered else offered[0]
            result = replace(result, protocol=name)
        return result

    def _abandon(self, event: Event) -> None:
        held = self._connected.pop(event, None)
        if held is not None:
            event.app.runtime.background(
                close_socket(held.socket, 1000, "", event.app.timeouts.close), "closing an upstream"
            )


class _Connected(NamedTuple):
    """An upstream whose client is being accepted."""

    url: str
    socket: ClientSocket
    timer: asyncio.TimerHandle


async def _taken(held: _Connected, chosen: Callable[[str], object]) -> ClientSocket:
    try:
        chosen(held.url)
    except BaseException:
        transport = getattr(held.socket, "transport", None)
        if transport is not None:
            transport.abort()
        raise
    return held.socket


async def _resolve(option: Any, client: Client) -> Any:
    value = option(client) if callable(option) else option
    return await value if hasattr(value, "__await__") else value


def _names(value: str | Iterable[str | None] | None) -> list[str]:
    """Return subprotocols without empty and doubled ones, which no handshake may offer."""
    if value is None:
        return []
    found = [value] if isinstance(value, str) else value
    names = [str(name).strip() for name in found if name is not None]
    return list(dict.fromkeys(name for name in names if name))


def _refusal(refused: Refused) -> Response:
    """Return what the upstream answered, where that is a refusal."""
    status = refused.upstream_status
    if not 300 <= status <= 599:
        raise refused
    response = Response(refused.body, status)
    response.fields = end_to_end(refused.fields, "content-length")
    return response
