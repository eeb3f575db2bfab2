"""Says everything back, compressed with context takeover both ways, for those who want that."""

from __future__ import annotations

from longwave import Compression, Message, Peer, define_websocket_handler

handler = define_websocket_handler(compress=Compression(context_takeover=True, client_context_takeover=True))


@handler.message
def echo(peer: Peer, message: Message) -> None:
    peer.send(message)
