"""How Vite is found, started and ended, with small programs in its place."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from longwave.config.settings import ViteSettings
from longwave.dev import leash
from longwave.dev.vite import Vite, build_command, find_vite, free_port, serve_command
from longwave.errors import ConfigError

LISTENS = """
import socket, sys
print("one", flush=True)
print("  ➜  Local: nowhere", flush=True)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""
DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def make(text: str, *arguments: str, show: list[str] | None = None) -> Vite:
    port = free_port()
    command = [sys.executable, "-c", text, str(port), *arguments]
    return Vite(command, Path.cwd(), port, (show if show is not None else []).append)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def test_it_is_ready_when_it_listens_and_ends_when_it_is_cancelled() -> None:
    async def check() -> None:
        shown: list[str] = []
        vite = make(LISTENS, show=shown)
        running = asyncio.create_task(vite.run())
        await asyncio.wait_for(vite.ready.wait(), 10)
        assert shown == list(vite.last) == ["one"]
        began = time.monotonic()
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled() and time.monotonic() - began < 3
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", vite.port)

    asyncio.run(check())


def test_its_own_end_is_told() -> None:
    async def check() -> None:
        shown: list[str] = []
        vite = make("print('x' * 200_000); print('no'); raise SystemExit(3)", show=shown)
        assert await asyncio.wait_for(vite.run(), 10) == 3
        assert not vite.ready.is_set() and shown[-1] == "no"
        assert sum(map(len, shown)) == 200_002
        missing = Vite(["/nowhere/vite"], Path.cwd(), free_port(), shown.append)
        assert await asyncio.wait_for(missing.run(), 10) == 127
        assert "No such file" in shown[-1]

    asyncio.run(check())


def test_what_does_not_end_is_killed_with_what_it_started() -> None:
    async def check() -> None:
        shown: list[str] = []
        running = asyncio.create_task(make(DEAF, show=shown).run())
        while not shown:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait({running})
        until = time.monotonic() + 5
        while alive(int(shown[0])) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert not alive(int(shown[0]))

    asyncio.run(check())


def test_a_killed_owner_takes_all_along() -> None:
    with subprocess.Popen(
        [sys.executable, leash.__file__, sys.executable, "-c", DEAF],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        grandchild = int(process.stdout.readline())
        # A signal alone does not end it: that is for whoever holds the leash.
        os.kill(process.pid, signal.SIGTERM)
        assert alive(grandchild)
        process.stdin.close()
        process.wait(5)
        until = time.monotonic() + 5
        while alive(grandchild) and time.monotonic() < until:
            time.sleep(0.01)
        assert not alive(grandchild)


def test_where_it_is_looked_for(tmp_path: Path) -> None:
    front = tmp_path / "packages" / "web"
    settings = ViteSettings(True, front)
    with pytest.raises(ConfigError, match="found nothing"):
        find_vite(settings)
    front.mkdir(parents=True)
    with pytest.raises(ConfigError, match="npm install"):
        find_vite(settings)
    for root in (tmp_path, front):
        program = root / "node_modules" / ".bin" / "vite"
        program.parent.mkdir(parents=True)
        program.touch()
        assert find_vite(settings) == str(program)
    serving = serve_command(settings, 5, "staging", "warning")
    assert " ".join(serving[1:8]) == "--host 127.0.0.1 --port 5 --strictPort --mode staging"
    assert " ".join(serving[8:]) == "--clearScreen false --logLevel warn"
    building = build_command(settings, "production", "silent")
    assert " ".join(building[1:]) == "build --manifest --mode production --logLevel silent"
