"""What the benchmark measures is the walk of the design page, with the settings that everybody gets."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType

import websockets

import longwave
from bench.kit import ROOT, Kit
from bench.servers import OURS, SERVERS
from longwave.cli.serve import load_app, options_of
from longwave.config import load_settings
from longwave.server.worker import Server
from tests.docs.test_design import documented

APP = ROOT / "bench" / "app"
PACKAGE = Path(longwave.__file__).parent


async def traced() -> list[str]:
    """Return the functions that run for one message to the room, as `longwave start` serves it."""
    settings = load_settings(APP, command="start", environ={}, overrides={"server": {"port": 0}})
    calls: list[str] = []

    def trace(frame: FrameType, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            calls.append(f"{path.relative_to(PACKAGE).as_posix()} {frame.f_code.co_qualname}")

    server = Server(load_app(settings), options_of(settings))
    await server.start()
    url = f"ws://127.0.0.1:{server.port}/ws/room"
    try:
        async with websockets.connect(url) as one, websockets.connect(url) as two:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /sse HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
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


def test_the_walk_is_the_documented_one() -> None:
    calls = asyncio.run(traced())
    remaining = iter(calls)
    assert [step for step in documented() if step not in remaining] == [], "\n".join(calls)


def test_ours_is_started_as_everybody_starts_it() -> None:
    command = SERVERS[OURS].command(Kit(), 3001, "echo")
    assert command[1:] == ["start", str(APP), "--host", "127.0.0.1", "--port", "3001"]
    files = [path.name for path in APP.iterdir() if path.name != "__pycache__"]
    assert files == ["src"], "no config: the defaults are measured"
