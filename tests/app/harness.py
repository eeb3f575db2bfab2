"""An app without a server: requests in, replies out, and links that record what is written."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from longwave.app.app import App
from longwave.app.peer import Peer
from longwave.app.route import route_of_value
from longwave.contract import FullReply, Reply, Request, StreamReply, UpgradeReply
from longwave.core.frames import WS
from longwave.core.sse import BODY, sse_wire
from longwave.errors import RequestError
from longwave.routing.table import parse_route_key
from longwave.types import Fields, Piece, SendStatus, Wire


class FakeLink:
    """A link that keeps what is written; `status` is what a write answers."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.written: list[bytes] = []
        self.status = SendStatus.SENT
        self.buffered = 0
        self.paused = False
        self.closed_with: tuple[int, str] | None = None
        self.aborted = False
        self.pings: list[bytes] = []
        self.room = asyncio.Event()

    def write(self, piece: Piece) -> SendStatus:
        if self.closed_with is not None or self.aborted:
            return SendStatus.CLOSED
        self.written.append(piece)
        return self.status

    def ping(self, data: bytes = b"") -> None:
        self.pings.append(data)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    async def drained(self, threshold: int = 0) -> None:
        while self.buffered > threshold:
            self.room.clear()
            await self.room.wait()

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.closed_with is None:
            self.closed_with = (code, reason)

    def abort(self) -> None:
        self.aborted = True

    @property
    def text(self) -> str:
        return b"".join(self.written).decode()

    @property
    def messages(self) -> list[str]:
        """The payloads of the WebSocket text frames that were written."""
        data, found = b"".join(self.written), []
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            found.append(data[start : start + size].decode())
            data = data[start + size :]
        return found


class FakeBody:
    """A request body that is there at once, or fails."""

    def __init__(self, data: bytes = b"", error: RequestError | None = None) -> None:
        self.data = data
        self.error = error

    async def read(self) -> bytes:
        if self.error is not None:
            raise self.error
        return self.data

    async def __aiter__(self) -> Any:
        if self.error is not None:
            raise self.error
        for at in range(0, len(self.data), 3):
            yield self.data[at : at + 3]


def make_app(routes: dict[str, Any], **options: Any) -> App:
    """Return an app of an explicit table."""
    made = []
    for key, value in routes.items():
        method, pattern = parse_route_key(key)
        made.append(route_of_value(value, pattern, method, key))
    return App(made, **options)


def run_app(app: App, test: Callable[[App], Awaitable[None]]) -> None:
    """Start an app, run a test on it, stop it; nothing may be left."""

    async def main() -> None:
        await app.startup()
        try:
            await test(app)
        finally:
            await app.shutdown()

    asyncio.run(main())


async def ask(
    app: App,
    target: str = "/",
    *,
    method: str = "GET",
    headers: Fields | None = None,
    body: FakeBody | None = None,
    upgrade: bool = False,
) -> Reply:
    """Return the reply to a request."""
    fields = [(b"host", b"example.com"), *(headers or [])]
    request = Request(
        method,
        target.encode(),
        fields,
        body,
        client=("192.0.2.1", 1234),
        is_upgrade=upgrade,
        raw=b"raw",
        parse=lambda raw: fields,
    )
    reply = app.handle(request)
    if inspect.isawaitable(reply):
        return await reply
    return reply


async def full(app: App, target: str = "/", **options: Any) -> FullReply:
    """Return a reply that has to be whole."""
    reply = await ask(app, target, **options)
    assert isinstance(reply, FullReply), reply
    return reply


async def connect(app: App, target: str = "/ws", **options: Any) -> tuple[Peer, FakeLink]:
    """Open a WebSocket and return its peer and link."""
    reply = await ask(app, target, upgrade=True, **options)
    assert isinstance(reply, UpgradeReply), reply
    peer = reply.session
    assert isinstance(peer, Peer)
    link = FakeLink(WS)
    peer.opened(link)
    return peer, link


async def open_stream(app: App, target: str = "/sse", **options: Any) -> tuple[Any, FakeLink, StreamReply]:
    """Open a stream and return its session, link and reply."""
    reply = await ask(app, target, **options)
    assert isinstance(reply, StreamReply), reply
    link = FakeLink(sse_wire(False) if reply.format == "sse" else BODY)
    reply.session.opened(link)
    return reply.session, link, reply


async def turn(times: int = 1) -> None:
    """Let the loop go round."""
    for _ in range(times):
        await asyncio.sleep(0)


def clean(app: App) -> None:
    """Check that no task, stream or topic is left."""
    stats = app.stats()
    assert (stats["tasks"], stats["streams"], stats["topics"]) == (0, 0, 0)


def header(reply: FullReply | StreamReply | UpgradeReply, name: str) -> str | None:
    """Return one header of a reply."""
    values = [value for key, value in reply.headers if key == name.encode()]
    return values[0].decode() if values else None
