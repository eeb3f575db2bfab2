"""The messages whose cost is counted: the real server and app on transports that do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from websockets.speedups import apply_mask

from longwave import (
    Event,
    EventStream,
    Message,
    Peer,
    create_app,
    create_event_stream,
    define_websocket_handler,
)
from longwave.app.app import App
from longwave.limits import Limits, Timeouts
from longwave.server.http import HttpConnection
from longwave.server.state import Worker

__all__ = ["Series", "all_series", "frame", "request", "upgrade"]

RECEIVERS: Final = 50
ROOM: Final = 32
TURNS: Final = 10
MASK: Final = b"\x01\x02\x03\x04"


@dataclass
class Series:
    """Work to be counted: `turn` is done once in each turn of the loop, and is worth `messages` messages."""

    name: str
    turn: Callable[[], object]
    messages: int

    async def run(self) -> None:
        """Do all turns, each with what the loop has to do after it."""
        for _ in range(TURNS):
            self.turn()
            # A second turn, for tasks that begin in the first.
            await asyncio.sleep(0)
            await asyncio.sleep(0)


class _Transport:
    """Takes everything, as a client who is never slow."""

    def __init__(self) -> None:
        self.writes = 0
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        self.writes += 1

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Client:
    """One connection to the app, past its upgrade where it has one."""

    def __init__(self, worker: Worker, first: bytes = b"") -> None:
        self.transport = _Transport()
        self.transport.protocol = HttpConnection(worker)
        self.transport.protocol.connection_made(self.transport)
        if first:
            self.send(first)

    def send(self, data: bytes) -> None:
        self.transport.protocol.data_received(data)


async def all_series() -> list[Series]:
    """Return every series, its clients connected."""
    app = _app()
    await app.startup()
    worker = Worker(app, Limits(), Timeouts(), asyncio.get_running_loop())
    echo = _Client(worker, upgrade("/echo"))
    fan = [_Client(worker, upgrade("/fan")) for _ in range(RECEIVERS + 1)]
    chat = [_Client(worker, upgrade("/chat")) for _ in range(ROOM)]
    streams = [_Client(worker, request("GET", "/events")) for _ in range(RECEIVERS)]
    http = _Client(worker)
    small, large = frame(b"a" * 32), frame(b"a" * 4096)
    get, slow = request("GET", "/json"), request("GET", "/async")
    publish = request("POST", "/publish", b"a" * 64)
    for _ in range(3):
        await asyncio.sleep(0)

    def talk() -> None:
        for client in chat:
            client.send(small)

    series = [
        Series("echo, 32 B", lambda: echo.send(small), 1),
        Series("echo, 4 KiB", lambda: echo.send(large), 1),
        Series("echo, eight pipelined, per message", lambda: echo.send(small * 8), 8),
        Series("fan-out, one in flight, per delivery", lambda: fan[0].send(small), RECEIVERS),
        Series("fan-out, eight in flight, per delivery", lambda: fan[0].send(small * 8), 8 * RECEIVERS),
        Series("chat in a room of 32, per delivery", talk, ROOM * ROOM),
        Series("event streams, per delivery", lambda: app.publish("news", "a" * 64), RECEIVERS),
        Series("publication by HTTP", lambda: http.send(publish), 1),
        Series("HTTP, JSON", lambda: http.send(get), 1),
        Series("HTTP, JSON, async", lambda: http.send(slow), 1),
    ]
    await _check(series, [echo, *fan, *chat, *streams, http])
    return series


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a request as a client writes it."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{length}\r\n"
    return head.encode() + body


def upgrade(path: str) -> bytes:
    """Return the request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def frame(payload: bytes) -> bytes:
    """Return a client's text frame."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + MASK + apply_mask(payload, MASK)


async def _check(series: list[Series], clients: list[_Client]) -> None:
    """Run each once: what is made at first use is there then; and each must have written what it says."""
    for one in series:
        before = sum(client.transport.writes for client in clients)
        await one.run()
        if sum(client.transport.writes for client in clients) < before + TURNS:
            raise RuntimeError(f"the series {one.name!r} writes nothing")


def _app() -> App:
    def join(peer: Peer) -> None:
        peer.subscribe("room")

    def echo(peer: Peer, message: Message) -> None:
        peer.send(message.text())

    def fan(peer: Peer, message: Message) -> None:
        peer.publish("room", message.text())

    def chat(peer: Peer, message: Message) -> None:
        reply = {"user": str(peer), "message": message.text()}
        peer.send(reply)
        peer.publish("room", reply)

    def events(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.subscribe("news")
        return stream

    async def publish(event: Event) -> dict[str, bool]:
        event.app.publish("nobody", await event.text())
        return {"ok": True}

    async def slow(event: Event) -> dict[str, str]:
        return {"hello": "world"}

    return create_app(
        routes={
            "/echo": define_websocket_handler(message=echo),
            "/fan": define_websocket_handler(open=join, message=fan),
            "/chat": define_websocket_handler(open=join, message=chat),
            "GET /events": events,
            "POST /publish": publish,
            "GET /json": lambda event: {"hello": "world"},
            "GET /async": slow,
        }
    )
