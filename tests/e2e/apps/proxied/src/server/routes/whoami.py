"""Tells what the server takes its client for, over HTTP and over a WebSocket."""

from __future__ import annotations

from typing import Any

from longwave import Event, Peer, define_websocket_handler

websocket = define_websocket_handler()


@websocket.open
def opened(peer: Peer) -> None:
    peer.send({"client": peer.remote_address, "url": peer.request.url})


def get(event: Event) -> dict[str, Any]:
    return {"client": event.remote_address, "scheme": event.scheme, "host": event.host, "url": event.url}
