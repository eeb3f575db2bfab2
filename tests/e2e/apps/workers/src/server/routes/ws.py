"""Subscribes and publishes as its client says; the first message tells which worker it is."""

from __future__ import annotations

import os

from longwave import Message, Peer, define_websocket_handler

handler = define_websocket_handler()


@handler.open
def welcome(peer: Peer) -> None:
    peer.send(f"{os.environ['LONGWAVE_WORKER']} {os.getpid()}")


@handler.message
def obey(peer: Peer, message: Message) -> None:
    verb, topic, *rest = message.text().split(" ", 2)
    if verb == "sub":
        # Not awaited: the answer may be there before any other worker has run.
        peer.subscribe(topic)
        peer.send("ok")
    elif verb == "unsub":
        peer.unsubscribe(topic)
        peer.send("ok")
    elif verb == "pub":
        peer.publish(topic, rest[0])
    elif verb == "many":
        first, count, size = (int(word) for word in rest[0].split())
        for number in range(first, first + count):
            peer.publish(topic, f"{number} ".ljust(size, "x"))
        peer.send("done")
