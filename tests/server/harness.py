"""What the tests over real sockets share: a server in the test's loop, and a client that counts bytes."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import pytest
import uvloop

from longwave.limits import Limits, Timeouts
from longwave.server.worker import Server, ServerOptions
from tests.server.fake_app import FakeApp

__all__ = ["KEY", "Client", "Run", "eventually", "frame", "loops", "serve", "upgrade"]

Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="

loops = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


def run_in(kind: str, main: Coroutine[Any, Any, None]) -> None:
    """Run a test in a loop of a kind."""
    factory = uvloop.new_event_loop if kind == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_bounded(main))


async def _bounded(main: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.wait_for(main, 20)
    finally:
        # None outlives its loop: the next test could do nothing with it.
        await _drop_clients()


async def _drop_clients() -> None:
    while _CLIENTS:
        client = _CLIENTS.pop()
        client.writer.transport.abort()
        with suppress(OSError):
            await client.writer.wait_closed()


@asynccontextmanager
async def serve(
    app: FakeApp | None = None,
    *,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    **options: Any,
) -> AsyncIterator[Server]:
    """Serve until the block ends; then everything must be gone."""
    settings = ServerOptions(
        port=0, limits=limits or Limits(), timeouts=timeouts or Timeouts(close=0.5), **options
    )
    server = Server(app or FakeApp(), settings)
    await server.start()
    try:
        yield server
    finally:
        try:
            await _drop_clients()
        finally:
            # A uvloop that is closed with a server in it waits for ever, and no time-out ends that.
            await server.stop(2.0)
        assert server.stats()["connections"] == 0
        assert server.stats()["outgoing_waiting"] == 0
        assert server.stats()["unfinished"] == 0


class Client:
    """A plain TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: Server, **options: Any) -> Client:
        """Connect to the first address of a server."""
        client = cls(*await asyncio.open_connection("127.0.0.1", server.port, **options))
        _CLIENTS.append(client)
        return client

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def get(self, path: str, *fields: str, method: str = "GET", version: str = "1.1") -> None:
        """Send a request."""
        self.send(request(path, *fields, method=method, version=version))

    async def response(self, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Read one response: status, fields, body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        fields = {}
        for line in lines[1:-2]:
            name, value = line.split(": ", 1)
            fields[name.lower()] = value
        if head_only or status in (101, 100, 204, 304):
            return status, fields, b""
        if "content-length" in fields:
            return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        if fields.get("transfer-encoding") == "chunked":
            return status, fields, b"".join([piece async for piece in self.chunks()])
        return status, fields, await self.reader.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the chunks of a body."""
        while piece := await self.chunk():
            yield piece

    async def chunk(self) -> bytes:
        """Read one chunk; empty at the end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        piece = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return piece

    async def upgrade(self, path: str = "/ws", *, early: bytes = b"") -> None:
        """Become a WebSocket."""
        self.send(upgrade(path) + early)
        status, fields, _ = await self.response()
        assert status == 101
        assert fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame: opcode and payload."""
        first, second = await self.reader.readexactly(2)
        assert first & 0xF0 == 0x80
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif second == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)

    async def closing(self) -> tuple[int, str]:
        """Read up to the close frame; return its code and reason."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def rest(self) -> bytes:
        """Read to the end, which a reset is as well."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""

    def reset(self) -> None:
        """Go away without a goodbye."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        """Close."""
        self.writer.close()


def request(path: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Return a request without body."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode()


def upgrade(path: str = "/ws", *fields: str) -> bytes:
    """Return a request to become a WebSocket."""
    return request(
        path,
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        f"Sec-WebSocket-Key: {KEY.decode()}",
        "Sec-WebSocket-Version: 13",
        *fields,
    )


def frame(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """Return one masked frame."""
    mask = os.urandom(4)
    size = len(payload)
    first = opcode | (0x80 if final else 0)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    mask_all = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(mask_all, "big")).to_bytes(size, "big")
    return head + mask + masked


_CLIENTS: list[Client] = []


async def eventually(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        await asyncio.sleep(0.005)
