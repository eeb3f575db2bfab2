"""Each message holds the loop for a millisecond."""

from __future__ import annotations

import time

from longwave import Message, Peer, define_websocket_handler

from ...state import note

handler = define_websocket_handler()


@handler.message
def work(peer: Peer, message: Message) -> None:
    time.sleep(0.001)
    note("busy")
    peer.send(message)
