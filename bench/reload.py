"""`python -m bench.reload`: the time from a save to the first answer of the new code, and what a swap costs.

A client with one open WebSocket asks without a pause; the clock starts before a file is written. The project
has a route, a helper two imports away, and a crowd of other sockets at that route.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from bench.soak.report import machine
from tests.e2e.process import ServerProcess

ROUTES, UTIL = Path("src/server/routes"), Path("src/server/util")
CHAT = """
from longwave import define_websocket_handler
from src.server.util.middle import word

handler = define_websocket_handler()

@handler.message
def message(peer, message):
    peer.send(f"VERSION {word()}")
"""
MIDDLE = "from src.server.util.words import WORD\ndef word(): return WORD\n"
PAUSE = 0.15
"""Seconds between two edits, so that one is over when the next begins."""

Save = Callable[[int], str]
"""Saves a version of a file; returns what the new code answers."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--routes", type=int, default=20, help="other routes of the project")
    parser.add_argument("--sockets", type=int, default=100, help="other sockets at the route")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        save(root / ROUTES / "chat.py", CHAT.replace("VERSION", "0"))
        save(root / UTIL / "middle.py", MIDDLE)
        save(root / UTIL / "words.py", "WORD = 0\n")
        for number in range(options.routes):
            save(root / ROUTES / f"other{number}.py", "async def get(event): return 'other'\n")
        print(machine())
        print(f"{options.routes} other routes, {options.sockets} other sockets, {options.edits} edits each")
        with ServerProcess(root, command="dev") as server:
            asyncio.run(measure(server, root, options.edits, options.sockets))


async def measure(server: ServerProcess, root: Path, edits: int, sockets: int) -> None:
    """Edit each kind of file, and print how long its new code took to answer."""

    def save_route(version: int) -> str:
        save(root / ROUTES / "chat.py", CHAT.replace("VERSION", str(version)))
        return f"{version} 0"

    def save_helper(version: int) -> str:
        save(root / UTIL / "words.py", f"WORD = {version}\n")
        return f"{edits} {version}"

    async with AsyncExitStack() as stack:
        for _ in range(sockets):
            await stack.enter_async_context(connect(server.websocket_url + "chat"))
        socket = await stack.enter_async_context(connect(server.websocket_url + "chat"))
        kinds: dict[str, Save] = {"a route": save_route, "a helper two imports away": save_helper}
        for kind, save_version in kinds.items():
            show(kind, [await save_and_wait(socket, save_version, turn) for turn in range(1, edits + 1)])


async def save_and_wait(socket: ClientConnection, save_version: Save, version: int) -> float:
    """Return the seconds from before a save to the first answer of what was saved."""
    await asyncio.sleep(PAUSE)
    began = time.perf_counter()
    wanted = save_version(version)
    while True:
        await socket.send("?")
        if await socket.recv() == wanted:
            return time.perf_counter() - began
        await asyncio.sleep(0.0005)


def show(kind: str, seconds: list[float]) -> None:
    """Print one line of figures."""
    ms = sorted(each * 1000 for each in seconds)
    print(f"{kind}: median {statistics.median(ms):.0f} ms, {ms[0]:.0f} to {ms[-1]:.0f} ms")


def save(path: Path, text: str) -> None:
    """Write a file as an editor does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
