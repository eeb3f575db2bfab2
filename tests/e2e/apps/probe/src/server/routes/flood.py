"""Publishes numbered messages, and tells what waits for those who listen."""

from __future__ import annotations

from typing import Any

from longwave import Event

from ..state import note, peers


def get(event: Event) -> dict[str, Any]:
    return {"buffered": [peer.buffered_amount for peer in peers]}


def post(event: Event) -> dict[str, Any]:
    start, count, size = (int(event.query[name]) for name in ("start", "count", "size"))
    for number in range(start, start + count):
        event.app.publish("flood", f"{number:<{size}}")
    return {"buffered": [peer.buffered_amount for peer in peers]}


async def put(event: Event) -> dict[str, Any]:
    """Wait until the first listener has taken enough."""
    peer = peers[0]
    note("waiting for drain")
    try:
        await peer.wait_for_drain(int(event.query.get("threshold", "0")), float(event.query["timeout"]))
    except TimeoutError:
        return {"timeout": True, "buffered": peer.buffered_amount}
    return {"timeout": False, "buffered": peer.buffered_amount}
