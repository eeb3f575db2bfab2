"""A room: everybody hears everything; and what waits for its members."""

from __future__ import annotations

from typing import Any

from longwave import Event, Message, Peer, define_websocket_handler

websocket = define_websocket_handler(namespace="bench")
members: dict[Peer, None] = {}


@websocket.open
def join(peer: Peer) -> None:
    members[peer] = None
    peer.subscribe("room")


@websocket.message
def relay(peer: Peer, message: Message) -> None:
    peer.publish("room", message.text(), include_self=True)


@websocket.close
def leave(peer: Peer) -> None:
    del members[peer]


def get(event: Event) -> dict[str, int]:
    return {
        "members": len(members),
        "buffered": max((peer.buffered_amount for peer in members), default=0),
        "overflows": event.app.stats()["limits.outgoing"],
    }


async def post(event: Event) -> dict[str, Any]:
    """Wait until the member that holds the most has taken all of it; tell what was said before and after."""
    peer = max(members, key=lambda member: member.buffered_amount)
    before = peer.buffered_amount
    try:
        await peer.wait_for_drain(0, float(event.query["timeout"]))
    except TimeoutError:
        return {"timeout": True, "before": before, "after": peer.buffered_amount}
    return {"timeout": False, "before": before, "after": peer.buffered_amount}
