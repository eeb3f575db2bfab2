"""Starts what is measured: Longwave and uvicorn, one worker each, with the same limits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.process import free_port
from bench.robustness.target import MIB, Target

__all__ = ["UVICORN", "longwave", "uvicorn"]

HERE = Path(__file__).parent

UVICORN: dict[str, Any] = {
    "loop": "uvloop",
    "http": "httptools",
    # As Longwave has it by itself: a message of 1 MiB, pings after 20 s, 10 s for the answer, no compression.
    "ws_max_size": MIB,
    "ws_ping_interval": 20,
    "ws_ping_timeout": 10,
    "ws_per_message_deflate": False,
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 1,
}
"""The settings of uvicorn: what its documentation offers for production, with Longwave's limits."""


@contextmanager
def longwave(**settings: Any) -> Iterator[Target]:
    """Serve the endpoints with Longwave, as it comes."""
    names = {f"LONGWAVE_{name.upper()}": str(value) for name, value in settings.items()}
    port = free_port()
    command = [str(Path(sys.executable).with_name("longwave")), "start", str(HERE / "app")]
    with _running([*command, "--host", "127.0.0.1", "--port", str(port)], port, names) as pid:
        yield Target("Longwave", port, pid)


@contextmanager
def uvicorn(**settings: Any) -> Iterator[Target]:
    """Serve the same with uvicorn, without its access log."""
    port = free_port()
    options = [
        f"--{name.replace('_', '-')}={str(value).lower()}" for name, value in {**UVICORN, **settings}.items()
    ]
    command = [sys.executable, "-m", "uvicorn", "bench.robustness.asgi_app:app", "--port", str(port)]
    with _running([*command, "--no-access-log", "--log-level=error", *options], port, {}) as pid:
        yield Target("uvicorn", port, pid)


@contextmanager
def _running(command: list[str], port: int, settings: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **settings},
        cwd=HERE.parents[1],
    )
    try:
        until = time.monotonic() + 20
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command} does not answer")
            time.sleep(0.05)
        yield process.pid
        if process.poll() is not None:
            raise RuntimeError(f"{command} has ended with {process.poll()}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
