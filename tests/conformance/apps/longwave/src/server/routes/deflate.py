"""An echo that compresses all it sends, with context takeover and the largest windows."""

from __future__ import annotations

from longwave import Compression, Message, Peer, define_websocket_handler

handler = define_websocket_handler(
    compress=Compression(
        context_takeover=True,
        client_context_takeover=True,
        window_bits=15,
        client_window_bits=15,
        threshold=0,
    )
)


@handler.message
def echo(peer: Peer, message: Message) -> None:
    peer.send(message)
