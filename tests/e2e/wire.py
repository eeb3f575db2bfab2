"""Plain TCP clients for tests that count bytes, cut connections and take their time."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from tests.server.harness import Client, frame, request, upgrade

__all__ = [
    "LATE",
    "Connect",
    "Wire",
    "clients",
    "eventually",
    "frame",
    "measured",
    "request",
    "run",
    "status_of",
    "upgrade",
]

Connect: TypeAlias = Callable[..., Awaitable["Wire"]]

LATE = 3.0
"""Seconds that the end of a connection may come late: one, and what a busy machine may add."""


class Wire(Client):
    """One connection; what it does not read is not taken from the server either."""

    async def websocket(self, path: str, *fields: str) -> None:
        """Become a WebSocket."""
        self.send(upgrade(path, *fields))
        status, _, body = await self.response()
        assert status == 101, (status, body)

    async def stream(self, path: str, *fields: str, method: str = "GET") -> None:
        """Ask for a stream and read its head."""
        self.get(path, "Accept: text/event-stream", *fields, method=method)
        status, _, body = await self.response(head_only=True)
        assert status == 200, (status, body)

    async def text(self) -> str:
        """Read one message that is text."""
        opcode, payload = await self.message()
        assert opcode == 1, (opcode, payload)
        return payload.decode()

    async def message(self) -> tuple[int, bytes]:
        """Read one message or a close; pings, which come where a test takes long, are answered."""
        while (got := await self.frame())[0] == 9:
            self.send(frame(got[1], 10))
        return got

    async def say(self, message: str) -> None:
        """Send one message."""
        self.send(frame(message.encode()))
        await self.writer.drain()

    async def ends(self, within: float) -> None:
        """Read until the server ends the connection."""
        async with asyncio.timeout(within):
            await self.rest()

    def finish(self) -> None:
        """Send no more: a FIN, with nothing read of what still comes."""
        self.writer.write_eof()


@asynccontextmanager
async def clients(port: int) -> AsyncIterator[Connect]:
    """Give a function that connects; all connections are closed at the end."""
    opened: list[Wire] = []

    async def connect(*, receive: int | None = None) -> Wire:
        """Connect; `receive` is the size of the kernel's buffer for what the client does not read."""
        sock = socket.socket()
        try:
            sock.setblocking(False)
            if receive is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        limit = 2**16 if receive is None else receive
        client = Wire(*await asyncio.open_connection(sock=sock, limit=limit))
        opened.append(client)
        return client

    try:
        yield connect
    finally:
        for client in opened:
            client.writer.transport.abort()
        # The sockets are closed in the next turn of the loop, which may be about to end.
        await asyncio.sleep(0)
        for client in opened:
            with suppress(OSError):
                await client.writer.wait_closed()


async def eventually(condition: Callable[[], Any], within: float = 5.0) -> float:
    """Wait until something holds, plain or awaitable; return the seconds that it took."""
    began = time.monotonic()
    while True:
        result = condition()
        if hasattr(result, "__await__"):
            result = await result
        taken = time.monotonic() - began
        if result:
            return taken
        assert taken < within, f"it did not happen within {within} s"
        await asyncio.sleep(0.01)


def measured(what: str, value: float) -> None:
    """Report a figure that is not gated closely; `pytest -rP` shows it."""
    print(f"measured: {what} = {value:.6g}")


def run(main: Coroutine[Any, Any, None], within: float = 50.0) -> None:
    """Run a test in a loop of its own."""

    async def limited() -> None:
        async with asyncio.timeout(within):
            await main

    asyncio.run(limited())


async def status_of(connect: Connect, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes on a connection of their own; return the answer, and check that it closes after an error."""
    client = await connect()
    client.send(data)
    status, fields, body = await client.response()
    if status >= 400:
        assert fields["connection"] == "close"
        assert await client.rest() == b""
        client.close()
    return status, fields, body
