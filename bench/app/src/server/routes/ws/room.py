"""Everybody hears what the others say; so do the event streams of `/sse`."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

handler = define_websocket_handler(namespace="bench")


@handler.open
def join(peer: Peer) -> None:
    peer.subscribe("room")


@handler.message
def relay(peer: Peer, message: Message) -> None:
    peer.publish("room", message)
