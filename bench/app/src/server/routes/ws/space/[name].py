"""A namespace for each path, each with a room of its own."""

from __future__ import annotations

from longwave import Peer, define_websocket_handler

handler = define_websocket_handler()


@handler.open
def join(peer: Peer) -> None:
    peer.subscribe("room")
