"""A hook that holds the loop."""

from __future__ import annotations

import time

from longwave import CloseDetails, Peer, define_websocket_handler

handler = define_websocket_handler()


@handler.close
def closed(peer: Peer, details: CloseDetails) -> None:
    time.sleep(60)
