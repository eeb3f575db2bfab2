"""A hook that does not let itself be cancelled."""

from __future__ import annotations

import asyncio
import contextlib

from longwave import CloseDetails, Peer, define_websocket_handler

handler = define_websocket_handler()


@handler.close
async def closed(peer: Peer, details: CloseDetails) -> None:
    for _ in range(60):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
