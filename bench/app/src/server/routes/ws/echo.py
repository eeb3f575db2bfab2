"""Says everything back."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

handler = define_websocket_handler()


@handler.message
def echo(peer: Peer, message: Message) -> None:
    peer.send(message)
