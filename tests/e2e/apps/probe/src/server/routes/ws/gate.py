"""Hears one message after the other, each when the gate is open."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

from ...gate import gate
from ...state import note

handler = define_websocket_handler()


@handler.message
async def hear(peer: Peer, message: Message) -> None:
    note("heard")
    await gate.wait()
    peer.send(message.text()[:8])
