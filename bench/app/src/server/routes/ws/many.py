"""A thousand topics; each peer listens to all of them, and what it says goes to one after the other."""

from __future__ import annotations

from itertools import cycle

from longwave import Message, Peer, define_websocket_handler

TOPICS = [f"topic {number}" for number in range(1000)]

handler = define_websocket_handler(namespace="many")
turn = cycle(TOPICS)


@handler.open
def join(peer: Peer) -> None:
    for topic in TOPICS:
        peer.subscribe(topic)


@handler.message
def relay(peer: Peer, message: Message) -> None:
    peer.publish(next(turn), message)
