"""Granian by its own interface: `granian --interface rsgi bench.peers.granian_rsgi:app`."""

from __future__ import annotations

from typing import Any

__all__ = ["app"]

members: set[Any] = set()
CLOSED = 0


async def app(scope: Any, protocol: Any) -> None:
    if scope.proto != "ws":
        protocol.response_str(200, [("content-type", "application/json")], '{"message":"Hello, world!"}')
    elif scope.path == "/ws/room":
        await room(await protocol.accept())
    else:
        await echo(await protocol.accept())


async def echo(socket: Any) -> None:
    while (message := await socket.receive()).kind != CLOSED:
        await socket.send_str(message.data)


async def room(socket: Any) -> None:
    members.add(socket)
    try:
        while (message := await socket.receive()).kind != CLOSED:
            text = message.data
            # Each send is a future of its own; there is no call that sends to many.
            for member in tuple(members):
                if member is not socket:
                    await member.send_str(text)
    finally:
        members.discard(socket)
