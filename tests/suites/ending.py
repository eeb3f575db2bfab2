"""The end of a server while things go on in it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.suites.app import LOGGED
from tests.suites.running import RunningServer, welcomed

__all__ = ["Ending", "end_server", "reset", "until_closed"]


@dataclass(frozen=True)
class Ending:
    """What was seen when a server was asked to stop."""

    code: int | None
    stream: bytes
    seconds: float
    socket_log: list[Any]
    stream_log: list[Any]


async def end_server(name: str) -> Ending:
    """Stop a server that has an open WebSocket and an idle stream."""
    server = RunningServer(name)
    await asyncio.to_thread(server.wait_ready)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with server.websocket("/echo?key=socket") as ws:
        await welcomed(ws)
        writer.write(b"GET /events?key=stream&count=1&stay=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"number 0\n\n")
        began = time.monotonic()
        stopping = asyncio.ensure_future(asyncio.to_thread(server.stop))
        rest = await reader.read()
        async for _ in until_closed(ws):
            pass
        output = await stopping
    writer.close()
    seconds = time.monotonic() - began
    assert LOGGED in output, output
    log = json.loads(output.partition(LOGGED)[2].partition("\n")[0])
    return Ending(ws.close_code, head + rest, seconds, log.get("socket", []), log.get("stream", []))


async def until_closed(ws: Any) -> Any:
    """Yield what comes until the connection is closed, however it is closed."""
    try:
        while True:
            yield await ws.recv()
    except ConnectionClosed:
        return


def reset(raw: socket.socket) -> None:
    """End a connection with a reset instead of an orderly end."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    raw.close()
