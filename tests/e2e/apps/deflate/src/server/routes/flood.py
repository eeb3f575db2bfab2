"""Publishes to clients that do not keep up; the oldest messages are dropped for them."""

from __future__ import annotations

import asyncio
import random

from longwave import Compression, Message, Peer, define_websocket_handler

handler = define_websocket_handler(
    slow="drop_old", compress=Compression(context_takeover=True, window_bits=15)
)


@handler.open
def join(peer: Peer) -> None:
    peer.subscribe("flood")


@handler.message
async def flood(peer: Peer, message: Message) -> None:
    count = int(message.text())
    source = random.Random(1)
    noise = "".join(source.choices("0123456789abcdef", k=40_000))
    for number in range(count):
        # Half of it is new, half of it is in the window of whoever has got the one before.
        fresh = "".join(source.choices("0123456789abcdef", k=8_000))
        begin = number * 97 % 30_000
        peer.publish("flood", f"{number} {fresh}{noise[begin : begin + 8_000]}")
        if number % 16 == 15:
            await asyncio.sleep(0)
    peer.send("done")
