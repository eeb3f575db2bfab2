"""A topic for each path, in the namespace of the room: there may be very many beside it."""

from __future__ import annotations

from longwave import Peer, define_websocket_handler

handler = define_websocket_handler(namespace="bench")


@handler.open
def join(peer: Peer) -> None:
    peer.subscribe(f"topic {peer.request.params['name']}")
