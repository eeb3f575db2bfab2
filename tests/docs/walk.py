"""The walk of one message: which functions of ours it runs through."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType

import websockets

import longwave
from longwave.server.worker import Server

__all__ = ["PACKAGE", "walk"]

PACKAGE = Path(longwave.__file__).parent


async def walk(server: Server, room: str, stream: str) -> list[str]:
    """Return the functions that run for one message of a room, to another WebSocket and to a stream."""
    calls: list[str] = []

    def trace(frame: FrameType, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            calls.append(f"{path.relative_to(PACKAGE).as_posix()} {frame.f_code.co_qualname}")

    await server.start()
    url = f"ws://127.0.0.1:{server.port}{room}"
    try:
        async with websockets.connect(url) as one, websockets.connect(url) as two:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {stream} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
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
