"""Thousands of WebSocket clients in one process: they cost little, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar, cast

__all__ = ["HEAD", "Crowd", "Member", "crowd", "frame", "upgrade_head"]

HEAD = (
    "Host: 127.0.0.1:{port}\r\n"
    "Connection: Upgrade\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 "
    "Safari/537.36\r\n"
    "Upgrade: websocket\r\n"
    "Origin: http://127.0.0.1:{port}\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,en-US;q=0.8,de;q=0.7\r\n"
    "Cookie: session=8c2f0f6f5a7b4f4e9a53c3dd4a2f1f7e; theme=dark; consent=necessary; _id=GA1.1.109.3822\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
)
"""The fields that Chrome sends with an upgrade: five short ones would flatter the memory per connection."""

M = TypeVar("M", bound="Member")


def upgrade_head(path: str, port: int, *, deflate: bool = False) -> bytes:
    """Return the request of a browser to become a WebSocket, with its offer to compress or without."""
    fields = HEAD.format(port=port)
    if not deflate:
        fields = "".join(line for line in fields.splitlines(True) if "Extensions" not in line)
    return f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode()


def frame(payload: bytes, opcode: int = 1, *, final: bool = True, first: int = 0) -> bytes:
    """Return one masked frame; `first` adds bits to its first byte."""
    mask = os.urandom(4)
    size = len(payload)
    first |= opcode | (0x80 if final else 0)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return head + mask + masked


class Member(asyncio.Protocol):
    """One WebSocket client. What it does with messages is for subclasses: `message`.

    `status` is that of the handshake, `code` the one of the server's close frame, `ended` the moment at which
    the connection was gone. With `answers` off it answers neither pings nor close frames.
    """

    __slots__ = ("_held", "answers", "code", "done", "ended", "opened", "pings", "status", "transport")

    transport: asyncio.Transport

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._held = b""
        self.answers = True
        self.status = 0
        self.code: int | None = None
        self.ended: float | None = None
        self.pings = 0
        self.opened: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()

    def message(self, data: bytes, start: int, stop: int) -> None:
        """Take the message that is `data[start:stop]`."""

    def send(self, payload: bytes, opcode: int = 1) -> None:
        """Send one frame, unless the connection is gone."""
        if not self.transport.is_closing():
            self.transport.write(frame(payload, opcode))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not self.status:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._held = head
                return
            self.status = int(head[9:12])
            if not self.opened.done():
                self.opened.set_result(None)
        if self.status == 101:
            self._frames(data)

    def _frames(self, data: bytes) -> None:
        position, end = 0, len(data)
        while end - position >= 2:
            length = data[position + 1]
            start = position + 2
            if length == 126:
                length = int.from_bytes(data[start : start + 2], "big")
                start += 2
            elif length == 127:
                length = int.from_bytes(data[start : start + 8], "big")
                start += 8
            stop = start + length
            if stop > end:
                break
            opcode = data[position] & 0x0F
            if opcode in (1, 2):
                self.message(data, start, stop)
            else:
                self._control(opcode, data[start:stop])
            position = stop
        if position < end:
            self._held = data[position:]

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self.pings += 1
            if self.answers:
                self.send(payload, 10)
        elif opcode == 8:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
            if self.answers:
                self.send(payload[:2], 8)
                self.transport.close()

    def eof_received(self) -> bool:
        """Note the end; it is ours as well where we answer."""
        self._end()
        return not self.answers

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._end()
        if not self.done.done():
            self.done.set_result(None)

    def _end(self) -> None:
        if self.ended is None:
            self.ended = time.monotonic()
        if not self.opened.done():
            self.opened.set_result(None)
        if not self.done.done():
            self.done.set_result(None)


class Crowd:
    """Connections to one server, all of which are closed at the end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.members: list[Member] = []

    async def join(
        self,
        path: str,
        make: Callable[[], M],
        *,
        receive: int | None = None,
        port: int | None = None,
        deflate: bool = False,
    ) -> M:
        """Connect and wait for the answer to the handshake; `receive` is the size of the kernel's buffer."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            await loop.sock_connect(sock, ("127.0.0.1", port or self.port))
            _, member = await loop.create_connection(make, sock=sock)
        except BaseException:
            sock.close()
            raise
        self.members.append(member)
        member.transport.write(upgrade_head(path, self.port, deflate=deflate))
        await member.opened
        return member

    async def fill(
        self, path: str, make: Callable[[], M], count: int, *, at_once: int = 64, deflate: bool = False
    ) -> Sequence[M]:
        """Let so many join, not more than `at_once` at a time; all of them must get in."""
        joined: list[M] = []
        left = iter(range(count))

        async def some() -> None:
            for _ in left:
                member = await self.join(path, make, deflate=deflate)
                assert member.status == 101, member.status
                joined.append(member)

        await asyncio.gather(*(some() for _ in range(min(at_once, count))))
        return joined


@asynccontextmanager
async def crowd(port: int) -> AsyncIterator[Crowd]:
    """Give a crowd; at the end all its connections are cut, and gone from the loop."""
    made = Crowd(port)
    try:
        yield made
    finally:
        for member in made.members:
            member.transport.abort()
        while any(not member.done.done() for member in made.members):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
