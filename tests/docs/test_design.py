"""The walk of one message is what the design page says, as a tracer sees it on our own server."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from types import FrameType

import websockets

import longwave
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

PACKAGE = Path(longwave.__file__).parent
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

    calls: list[str] = []

    def trace(frame: FrameType, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            calls.append(f"{path.relative_to(PACKAGE).as_posix()} {frame.f_code.co_qualname}")

    server = Server(create_app(routes={"/ws": room, "GET /sse": listen}), ServerOptions(port=0))
    await server.start()
    url = f"ws://127.0.0.1:{server.port}/ws"
    try:
        async with websockets.connect(url) as one, websockets.connect(url) as two:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /sse HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            # The stream has subscribed, and both peers have: all have answered.
            await asyncio.gather(await one.ping(), await two.ping())
            sys.setprofile(trace)
            try:
                await one.send("hello")
                assert await two.recv() == "hello"
                assert (await reader.readuntil(b"\n\n")).endswith(b"data: hello\n\n")
            finally:
                sys.setprofile(None)
            writer.close()
            await writer.wait_closed()
    finally:
        await server.stop(1)
    return calls


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
