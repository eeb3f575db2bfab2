"""A room: everybody hears everything, in one order."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

handler = define_websocket_handler(namespace="chat")


@handler.open
def join(peer: Peer) -> None:
    peer.subscribe("room")
    peer.send("joined")


@handler.message
def relay(peer: Peer, message: Message) -> None:
    peer.publish("room", message.text(), include_self=True)
