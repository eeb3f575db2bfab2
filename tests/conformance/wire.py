"""A TCP client with a time limit on everything, for the players: knows no server, hides nothing it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Address", "Answer", "Timing", "Wire", "connected"]


class Address(NamedTuple):
    """Where a server listens, and the path of its WebSocket."""

    host: str
    port: int
    path: bytes = b"/ws"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a player waits, in seconds.

    `patience` is the time in which an answer has to come, `notice` that in which an error has to be noticed
    that a later write would repeat, `quiet` that in which no answer may come where none is due.
    """

    patience: float = 5.0
    notice: float = 3.0
    quiet: float = 0.1


@dataclass(slots=True)
class Answer:
    """One HTTP response."""

    status: int
    fields: dict[bytes, list[bytes]]
    body: bytes = b""


class _Reader(asyncio.StreamReader):
    """A reader that tells whether the server has ended its side, whatever is left to read."""

    ended = False

    def feed_eof(self) -> None:
        self.ended = True
        super().feed_eof()


@dataclass(slots=True)
class Wire:
    """One connection. Reading ends at the end of the connection, by whatever means it came."""

    reader: _Reader
    writer: asyncio.StreamWriter
    patience: float
    local: int = field(default=0)

    def send(self, data: bytes) -> None:
        """Send bytes; nothing happens when the other side is gone."""
        if not self.writer.transport.is_closing():
            self.writer.write(data)

    async def chopped(self, data: bytes, size: int) -> None:
        """Send bytes, `size` at a time, with a turn of the loop between them; 0 is all at once.

        What is left stays unsent when the server ends its side: it would be answered by a reset.
        """
        for start in range(0, len(data), size or max(1, len(data))):
            self.send(data[start : start + (size or len(data))])
            if size:
                await asyncio.sleep(0)
                if self.reader.ended:
                    return

    async def answer(self, *, head_only: bool = False) -> Answer | None:
        """Read one response, those of status 100 left out; None at the end of the connection.

        Raises `TimeoutError` when it does not come in time and `ValueError` when it is none.
        """
        async with asyncio.timeout(self.patience):
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    answer = _parse(await self.reader.readuntil(b"\r\n\r\n"))
                    if answer.status != 100:
                        if not head_only and answer.status not in (101, 204, 304):
                            answer.body = await self._body(answer.fields)
                        return answer
        return None

    async def _body(self, fields: dict[bytes, list[bytes]]) -> bytes:
        if b"content-length" in fields:
            return await self.reader.readexactly(int(fields[b"content-length"][0]))
        if fields.get(b"transfer-encoding") != [b"chunked"]:
            return await self.reader.read()
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    async def some(self, within: float | None = None) -> bytes:
        """Read what has come; empty at the end. Raises `TimeoutError`."""
        async with asyncio.timeout(self.patience if within is None else within):
            with suppress(ConnectionError):
                return await self.reader.read(1 << 16)
        return b""

    async def rest(self) -> bytes:
        """Read to the end. Raises `TimeoutError` when it does not come in time."""
        data = b""
        async with asyncio.timeout(self.patience):
            with suppress(ConnectionError):
                while more := await self.reader.read(1 << 16):
                    data += more
        return data


@asynccontextmanager
async def connected(address: Address, timing: Timing) -> AsyncIterator[Wire]:
    """Connect, and cut the connection at the end of the block."""
    loop = asyncio.get_running_loop()
    reader = _Reader()
    async with asyncio.timeout(timing.patience):
        transport, protocol = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader), address.host, address.port
        )
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        yield Wire(reader, writer, timing.patience, writer.get_extra_info("sockname")[1])
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def _parse(head: bytes) -> Answer:
    first, *lines = head.split(b"\r\n")[:-2]
    version, status = first.split(b" ")[:2]
    if not version.startswith(b"HTTP/1."):
        raise ValueError(f"not a response: {first!r}")
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, value = line.split(b":", 1)
        fields.setdefault(name.lower(), []).append(value.strip().lower())
    return Answer(int(status), fields)
