"""Says everything back; `close N` is answered with a close frame of that code."""

from __future__ import annotations

from longwave import CloseDetails, Message, Peer, define_websocket_handler

from ...seen import seen

handler = define_websocket_handler()


@handler.message
def echo(peer: Peer, message: Message) -> None:
    if message.is_text and message.text().startswith("close "):
        peer.close(int(message.text()[6:]))
    else:
        peer.send(message)


@handler.close
def closed(peer: Peer, details: CloseDetails) -> None:
    seen[details.code] += 1
