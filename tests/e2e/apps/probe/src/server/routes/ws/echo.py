"""Says everything back; its end is noted in two steps, the second after a while."""

from __future__ import annotations

import asyncio

from longwave import CloseDetails, Message, Peer, define_websocket_handler

from ...state import note, report

handler = define_websocket_handler(protocols=("echo.v1",))


@handler.open
def opened(peer: Peer) -> None:
    note("ws opened")


@handler.message
def echo(peer: Peer, message: Message) -> None:
    if message.is_text and message.text().startswith("close "):
        peer.close(int(message.text()[6:]), "asked")
    else:
        peer.send(message)


@handler.close
async def closed(peer: Peer, details: CloseDetails) -> None:
    note("ws closed")
    note(f"ws closed {details.code}")
    await asyncio.sleep(0.05)
    report(f"ws {details.code}")
