"""Answers nothing until it is released."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

from ...state import released

handler = define_websocket_handler()


@handler.message
async def wait(peer: Peer, message: Message) -> None:
    await released.wait()
    peer.send(message)
