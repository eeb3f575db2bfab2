"""The Vite that runs behind the development server: found, started, shown, and ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from longwave.config.settings import LogLevel, ViteSettings
from longwave.dev import leash
from longwave.errors import ConfigError

__all__ = ["HOST", "Vite", "build_command", "find_vite", "free_port", "serve_command"]

HOST = "127.0.0.1"
STOP_LIMIT = leash.GRACE + 0.2
"""Seconds after which what still runs is killed."""
CHECK = 0.05
"""Seconds between two looks at whether it listens."""
KEPT = 20
"""Lines of its output that an error shows."""
LEVELS: dict[LogLevel, str] = {"debug": "info", "info": "info", "warning": "warn"}


def find_vite(settings: ViteSettings) -> str:
    """Return the program of a front end.

    It is in its own `node_modules`, or in those of a folder above. Raises `ConfigError` where there is no
    front end, or no Vite.
    """
    root = settings.root
    if not root.is_dir():
        raise ConfigError(f"frontend.vite.root: expected the folder of a front end, found nothing at {root}")
    for folder in (root, *root.parents):
        program = folder / "node_modules" / ".bin" / "vite"
        if program.exists():
            return str(program)
    raise ConfigError(
        f"frontend.vite: expected Vite in {root / 'node_modules'}, found none: run `npm install` in {root}"
    )


def serve_command(settings: ViteSettings, port: int, mode: str, level: LogLevel) -> list[str]:
    """Return how Vite is started to serve behind us, on this machine alone."""
    listen = ["--host", HOST, "--port", str(port), "--strictPort"]
    shown = ["--clearScreen", "false", "--logLevel", LEVELS.get(level, level)]
    return [find_vite(settings), *listen, "--mode", mode, *shown]


def build_command(settings: ViteSettings, mode: str, level: LogLevel) -> list[str]:
    """Return how Vite is started to build, with a list of what has a hash in its name."""
    return [
        find_vite(settings),
        "build",
        "--manifest",
        "--mode",
        mode,
        "--logLevel",
        LEVELS.get(level, level),
    ]


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Vite:
    """One process of Vite, and everything that it starts.

    `show` is given each line that it writes. `ready` is set once it listens.
    """

    def __init__(self, command: Sequence[str], root: Path, port: int, show: Callable[[str], None]) -> None:
        self.port = port
        self.ready = asyncio.Event()
        self.last: deque[str] = deque(maxlen=KEPT)
        self._command = command
        self._root = root
        self._show = show
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Start it and return its exit code when it ends; cancel this to end it."""
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-IS",
            leash.__file__,
            *self._command,
            cwd=self._root,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        looking = asyncio.create_task(self._look())
        try:
            await self._read(process)
            return await process.wait()
        finally:
            looking.cancel()
            await self._end(process)

    async def _look(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self.port)
                writer.close()
                self.ready.set()
                return
            await asyncio.sleep(CHECK)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        held = b""
        while data := await process.stdout.read(65536):
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                self._take(line)
            # A line without an end is shown as far as it goes.
            if len(held) > 65536:
                self._take(held)
                held = b""
        self._take(held)

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        # Its own address is not the one to open, and its shortcuts are not ours.
        if text.strip() and "➜" not in text:
            self.last.append(text)
            self._show(text)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        waiting = asyncio.ensure_future(process.wait())
        await asyncio.wait((waiting,), timeout=STOP_LIMIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await waiting
