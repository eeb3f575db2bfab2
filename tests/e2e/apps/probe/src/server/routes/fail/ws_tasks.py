"""Tasks of a peer that fail: the connection stays."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

from ...state import fail_at, note

handler = define_websocket_handler()


@handler.message
def message(peer: Peer, message: Message) -> None:
    async def fail() -> None:
        fail_at(peer.request, "spawn")
        fail_at(peer.request, "every")

    if peer.request.query["fail"] == "spawn":
        peer.spawn(fail())
    else:
        peer.every(0.001, fail)
    peer.send(message)


@handler.error
def error(peer: Peer, error: Exception) -> None:
    note("error hook")
    peer.send(f"heard {error}")
