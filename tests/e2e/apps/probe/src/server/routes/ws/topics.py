"""Subscribes to so many topics, or to one so long, and tells what became of it."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

handler = define_websocket_handler()


@handler.message
def subscribe(peer: Peer, message: Message) -> None:
    what, number = message.text().split()
    names = ["t" * int(number)] if what == "length" else [f"topic {n}" for n in range(int(number))]
    try:
        for name in names:
            peer.subscribe(name)
    except Exception as error:
        peer.send({"error": type(error).__name__, "message": str(error), "topics": len(peer.topics)})
    else:
        peer.send({"topics": len(peer.topics)})
