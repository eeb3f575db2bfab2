"""From a request to become a WebSocket to its peer: origin, subprotocol, the `upgrade` hook."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from longwave.app.event import Event
from longwave.app.hooks import UpgradeResult
from longwave.app.peer import Peer
from longwave.app.response import Response, encode_fields
from longwave.app.route import Route
from longwave.contract import UpgradeReply
from longwave.core.handshake import choose_protocol, offered_protocols
from longwave.core.origin import check_origin
from longwave.core.sse import wants_events
from longwave.errors import HTTPError, RequestError
from longwave.types import Compression

if TYPE_CHECKING:
    from longwave.app.app import App

__all__ = ["accept_upgrade", "check_page", "check_stream", "read_protocols"]


def accept_upgrade(app: App, event: Event, route: Route) -> Any:
    """Return the upgrade of a request, a refusal, or an awaitable of either.

    Raises `HTTPError`: 426 where WebSockets are off, 403 for a foreign origin, what the hook raises.
    """
    if route.upgrade_with is not None:
        return route.upgrade_with(event)
    if not app.websocket:
        raise HTTPError(
            426,
            "WebSockets are switched off here: set features.websocket = true",
            headers={"upgrade": "websocket"},
        )
    check_page(app, event)
    offered = read_protocols(event)
    peer = Peer(app.runtime, route, event)
    hook = route.hooks.upgrade
    if hook is None:
        return _accept(peer, route, offered, None)
    result = hook(event)
    if hasattr(result, "__await__"):
        return _accept_later(peer, route, offered, result)
    return _accept(peer, route, offered, result)


def check_page(app: App, event: Event) -> None:
    """Raise `HTTPError` 403 where a foreign page asks for a WebSocket."""
    check_origin(event.fields, _known_scheme(event), app.origins, app.dev, app.require_origin)


def read_protocols(event: Event) -> list[str]:
    """Return the subprotocols that a client offers; raises `HTTPError` 400."""
    try:
        return offered_protocols(event.fields)
    except RequestError as error:
        raise HTTPError(error.status, error.message) from error


def check_stream(app: App, event: Event) -> None:
    """Raise `HTTPError` 403 where a foreign page asks for a stream as its user.

    That is a request for an event stream which carries a cookie or `Authorization`, and an `Origin` that may
    not open a WebSocket either.
    """
    fields = event.fields
    names = {name for name, _ in fields}
    if b"cookie" in names or b"authorization" in names:
        if wants_events(fields):
            check_origin(fields, _known_scheme(event), app.origins, app.dev)


def _known_scheme(event: Event) -> str | None:
    request = event.request
    return request.scheme if request.knows_scheme else None


async def _accept_later(peer: Peer, route: Route, offered: list[str], result: Awaitable[Any]) -> Any:
    return _accept(peer, route, offered, await result)


def _accept(peer: Peer, route: Route, offered: list[str], result: Any) -> UpgradeReply | Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, Exception):
        raise result
    if result is None:
        result = UpgradeResult()
    if not isinstance(result, UpgradeResult):
        raise TypeError(
            f"the upgrade hook of {route} returned {result!r}: expected None, a Response or an UpgradeResult"
        )
    hooks = route.hooks
    protocol = result.protocol
    if protocol is None:
        protocol = choose_protocol(offered, hooks.protocols)
    elif protocol not in offered:
        raise ValueError(
            f"the upgrade hook of {route} chose the subprotocol {protocol!r}, but the client offered "
            f"{', '.join(offered) or 'none'}"
        )
    event = peer.request
    event.context.update(result.context)
    peer.namespace = result.namespace or hooks.namespace or event.path
    peer.protocol = protocol
    peer.user = result.user
    compress = _compression(event.app, route, result.compress)
    return UpgradeReply(peer, encode_fields(result.headers), protocol, hooks.policy, compress)


def _compression(app: App, route: Route, chosen: Any) -> Compression | None:
    """Return what is wanted of compression: what the hook says, else the route, else the settings."""
    if chosen is None:
        chosen = route.hooks.compress
    if chosen is None:
        chosen = app.compress
    if isinstance(chosen, Compression):
        return chosen
    if chosen is True or chosen is False:
        return app.compression if chosen else None
    raise TypeError(
        f"the upgrade hook of {route} chose compress={chosen!r}: expected True, False, a Compression or None"
    )
