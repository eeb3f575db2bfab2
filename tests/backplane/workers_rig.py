"""The rig of `longwave.backplane.workers`: all workers in one process, each with its own sockets."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from longwave.backplane.frames import Hello, encode_frame
from longwave.backplane.workers import WorkersBackplane
from longwave.hub.drivers import Backplane, OnError
from longwave.testing.backplanes import BackplaneRig

__all__ = ["WorkersRig"]

BOUND = 1024 * 1024
STRANGER = encode_frame(Hello(1, "1-0123456789abcdef"))


class WorkersRig(BackplaneRig):
    """A folder in which they meet. Nothing can be cut between them but by an end."""

    faults = frozenset({"pause", "kill", "inject"})
    settle = 0.05
    recover = 1.0

    def __init__(self) -> None:
        self.folder = Path()
        self.drivers: dict[str, WorkersBackplane] = {}

    async def open(self) -> None:
        """Make the folder: not one of pytest, whose names are too long for a socket."""
        self.folder = Path(tempfile.mkdtemp(prefix="lw-"))

    async def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    async def driver(self, name: str, on_error: OnError) -> Backplane:
        """Return another worker."""
        self.drivers[name] = WorkersBackplane(self.folder, BOUND)
        return self.drivers[name]

    async def pause(self, name: str) -> None:
        """Let a worker read nothing."""
        for receiver in self.drivers[name]._receivers:
            assert receiver._transport is not None
            receiver._transport.pause_reading()

    async def resume(self, name: str) -> None:
        """Let it read again."""
        for receiver in self.drivers[name]._receivers:
            assert receiver._transport is not None
            receiver._transport.resume_reading()

    async def kill(self, name: str) -> None:
        """Let the system close what a worker has, and leave its files where they are."""
        driver = self.drivers[name]
        driver._remove = lambda name: None  # type: ignore[method-assign]
        driver._leave()

    async def inject(self, name: str, data: bytes) -> None:
        """Greet a worker as a stranger, and say something in a frame."""
        path = self.folder / f"{self.drivers[name]._name}.sock"
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(STRANGER + len(data).to_bytes(4, "little") + data)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.transport.abort()

    def lost(self, name: str) -> Mapping[str | None, int]:
        """Return what was dropped for others, and what others dropped."""
        stats = self.drivers[name].stats()
        return {None: stats["limits.backplane"] + stats["missed"]}

    def malformed(self, name: str) -> int:
        """Return how many connections said what is no frame."""
        return self.drivers[name].stats()["malformed"]
