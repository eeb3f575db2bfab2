"""What Python can do: a protocol on uvloop, nothing around it. `python -m bench.peers.uvloop_server PORT`.

It trusts its clients as `load/limit.c` does: small whole frames, whole heads, no time-outs. An echo is
written at once; what is published in one turn of the loop is joined, and written to each member once.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop
from websockets.speedups import apply_mask

__all__ = ["Protocol"]

UPGRADE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


class Group:
    """Who hears the same, and what they have not been written yet."""

    def __init__(self) -> None:
        self.members: dict[Protocol, None] = {}
        self.pending: list[tuple[Protocol | None, bytes]] = []

    def publish(self, sender: Protocol | None, piece: bytes) -> None:
        if not self.pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self.pending.append((sender, piece))

    def flush(self) -> None:
        pending, self.pending = self.pending, []
        everything = b"".join([piece for _, piece in pending])
        senders = {sender for sender, _ in pending}
        for member in self.members:
            if member in senders:
                own = b"".join([piece for sender, piece in pending if sender is not member])
                if own:
                    member.transport.write(own)
            else:
                member.transport.write(everything)


room, streams = Group(), Group()


class Protocol(asyncio.Protocol):
    """One connection."""

    transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self.path = b""
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        room.members.pop(self, None)
        streams.members.pop(self, None)

    def data_received(self, data: bytes) -> None:
        if not self.path.startswith(b"/ws/"):
            self.head(data)
            return
        if self.held:
            data, self.held = self.held + data, b""
        position, end = 0, len(data)
        while end - position > 5:
            size, start = data[position + 1] & 127, position + 2
            if size == 126:
                size, start = data[start] << 8 | data[start + 1], position + 4
            after = start + 4 + size
            if after > end:
                break
            if data[position] == 0x81:
                body = apply_mask(data[start + 4 : after], data[start : start + 4])
                frame = (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + body
                if self.path == b"/ws/room":
                    room.publish(self, frame)
                else:
                    self.transport.write(frame)
            position = after
        self.held = data[position:]

    def head(self, data: bytes) -> None:
        method, self.path, _ = data.split(b" ", 2)
        if method == b"POST":
            streams.publish(None, b"data: " + data.partition(b"\r\n\r\n")[2] + b"\n\n")
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif self.path.startswith(b"/ws/"):
            self.transport.write(UPGRADE)
            if self.path == b"/ws/room":
                room.members[self] = None
        else:
            self.transport.write(STREAM)
            streams.members[self] = None


async def main(port: int) -> None:
    """Serve."""
    server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
