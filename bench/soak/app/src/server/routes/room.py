"""Rooms that are joined and left, by WebSockets and by event streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

from longwave import Event, EventStream, Message, Peer, create_event_stream, define_websocket_handler

websocket = define_websocket_handler(namespace="soak")


@websocket.open
def opened(peer: Peer) -> None:
    peer.subscribe("all")


@websocket.message
async def message(peer: Peer, message: Message) -> None:
    """`join NAME`, `leave NAME`, `say NAME TEXT`; anything else comes back."""
    if not message.is_text:
        peer.send(message)
        return
    what, _, rest = message.text().partition(" ")
    if what == "join":
        peer.subscribe(rest)
    elif what == "leave":
        peer.unsubscribe(rest)
    elif what == "say":
        topic, _, text = rest.partition(" ")
        peer.publish(topic, text)
    elif what == "fail":
        raise ValueError("as it was asked for")
    else:
        peer.send(message)


async def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    stream.subscribe(event.query.get("topic", "all"))
    stream.every(5, lambda: stream.push_comment("still here"))
    await stream.push("begun")
    return stream


async def post(event: Event) -> AsyncIterator[str]:
    """Stream as many words as the body has bytes."""
    for number in range(len(await event.bytes())):
        yield f"word {number}"
