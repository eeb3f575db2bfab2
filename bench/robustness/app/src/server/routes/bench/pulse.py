"""Beats a thousand times a second, and knows how much processor time lay between two beats at most."""

from __future__ import annotations

import time

from longwave import Event, Peer, define_websocket_handler

websocket = define_websocket_handler()
worst = [0.0, 0.0]


@websocket.open
def begin(peer: Peer) -> None:
    def beat() -> None:
        now = time.thread_time()
        worst[0] = max(worst[0], now - worst[1])
        worst[1] = now

    worst[1] = time.thread_time()
    peer.every(0.001, beat)
    peer.send("beats")


def get(event: Event) -> dict[str, float]:
    """Tell the worst since the last time."""
    longest, worst[0] = worst[0], 0.0
    return {"longest": longest}
