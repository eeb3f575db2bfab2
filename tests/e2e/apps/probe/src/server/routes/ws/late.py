"""An upgrade that takes too long."""

from __future__ import annotations

import asyncio

from longwave import Event, Peer, define_websocket_handler

from ...state import note

handler = define_websocket_handler()


@handler.upgrade
async def think(event: Event) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        note("upgrade ended")


@handler.open
def opened(peer: Peer) -> None:
    note("late opened")
