"""The walk of one message is what the design page says, as a tracer sees it on our own server."""

from __future__ import annotations

import asyncio
import re

from longwave import (
    Event,
    EventStream,
    Message,
    Peer,
    create_app,
    create_event_stream,
    define_websocket_handler,
)
from longwave.server.worker import Server, ServerOptions
from tests.docs.samples import ROOT
from tests.docs.walk import PACKAGE, walk

ROW = re.compile(r"\| \d+ \| `([\w/.]+) ([\w.]+)` \|")


def documented() -> list[str]:
    page = (ROOT / "docs" / "topics" / "design.md").read_text()
    return [f"{file} {function}" for file, function in ROW.findall(page)]


async def traced() -> list[str]:
    """Return the functions that one message runs through, from one WebSocket to another and to a stream."""
    room = define_websocket_handler()

    @room.open
    def join(peer: Peer) -> None:
        peer.subscribe("room")

    @room.message
    def relay(peer: Peer, message: Message) -> None:
        peer.publish("room", message)

    async def listen(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.subscribe("room")
        return stream

    server = Server(create_app(routes={"/ws": room, "GET /sse": listen}), ServerOptions(port=0))
    return await walk(server, "/ws", "/sse")


def test_the_walk() -> None:
    steps, calls = documented(), asyncio.run(traced())
    assert len(steps) == 12
    remaining = iter(calls)
    missing = [step for step in steps if step not in remaining]
    assert missing == [], "\n".join(calls)


def test_every_room_is_described() -> None:
    page = (ROOT / "docs" / "topics" / "design.md").read_text()
    rooms = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]
    assert [room for room in rooms if f"`{room}/`" not in page] == []
