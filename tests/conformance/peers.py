"""Servers as processes, ours among them, each with the echo that the tables need."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.process import end, free_port
from tests.conformance.large_cases import LARGEST, MOST_FRAMES
from tests.tools import node, npm_ws

__all__ = ["CACHE", "NPM", "PEERS", "Peer", "installed", "running"]

APPS = Path(__file__).with_name("apps")
CACHE = Path(sys.prefix) / "calibration"
"""Where what is not of Python's index is installed; `make clean` removes it with the environment."""
NPM = ("ws@8.23.0", "bun@1.4.5")
PIP = ("granian==2.8.7",)
_LONGWAVE = str(Path(sys.executable).with_name("longwave"))
ASGI = "tests.conformance.apps.echo_asgi:app"


@dataclass(frozen=True, slots=True)
class Peer:
    """One server: its name, what has to be there, its command for a port, and settings of its own.

    Only Longwave needs those, for the cases of section 9: the others have higher limits or none.
    """

    name: str
    title: str
    needs: str
    command: Callable[[int], list[str]]
    tables: tuple[str, ...] = ("autobahn", "http")
    env: Mapping[str, str] = field(default_factory=dict)


def _python(module: str, *arguments: str) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", module, *(word.format(port=port) for word in arguments)]

    return command


def _uvicorn(*arguments: str) -> Callable[[int], list[str]]:
    return _python("uvicorn", ASGI, "--port", "{port}", "--log-level", "critical", *arguments)


PEERS = (
    Peer(
        "longwave",
        "Longwave",
        "longwave",
        lambda port: [_LONGWAVE, "start", str(APPS / "longwave"), "--port", str(port)],
        env={"LONGWAVE_LIMITS_MESSAGE": str(LARGEST), "LONGWAVE_LIMITS_FRAGMENTS": str(MOST_FRAMES)},
    ),
    Peer(
        "uvicorn-wsproto", "uvicorn with h11 and wsproto", "uvicorn", _uvicorn("--http=h11", "--ws=wsproto")
    ),
    Peer("uvicorn", "uvicorn as it comes", "uvicorn", _uvicorn()),
    Peer("ws", "Node.js and ws", "ws", lambda port: [str(node()), _linked("echo_node.mjs"), str(port)]),
    Peer(
        "bun", "Bun", "bun", lambda port: [str(_bun()), str(APPS / "echo_bun.mjs"), str(port)], ("autobahn",)
    ),
    Peer(
        "hypercorn",
        "Hypercorn",
        "hypercorn",
        _python("hypercorn", ASGI, "--bind", "127.0.0.1:{port}", "--error-logfile", os.devnull),
    ),
    Peer(
        "granian",
        "Granian",
        "granian",
        _python("granian", ASGI, "--interface", "asgi", "--port", "{port}", "--log-level", "critical"),
    ),
)


def installed(peer: Peer, *, install: bool = False) -> bool:
    """Tell whether a peer can be started; with `install`, npm and pip are asked for it first."""
    if install and not _is_there(peer.needs):
        _install(peer.needs)
    return _is_there(peer.needs)


@contextmanager
def running(peer: Peer) -> Iterator[int]:
    """Run a peer for a block; gives its port."""
    port = free_port()
    env = {key: value for key, value in os.environ.items() if key not in ("HOST", "PORT")}
    env = {key: value for key, value in env.items() if not key.startswith("LONGWAVE_")}
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(CACHE / "python")])
    with tempfile.TemporaryFile("w+b") as output:
        process = subprocess.Popen(
            peer.command(port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**env, "PYTHONPATH": path, **peer.env},
            cwd=CACHE if CACHE.is_dir() else None,
            start_new_session=True,
        )
        try:
            _await(peer, process, port)
            yield port
        finally:
            end(process)


def _await(peer: Peer, process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, f"{peer.name} ended with {process.returncode}"
            assert time.monotonic() < until, f"{peer.name} did not start"
            time.sleep(0.05)


def _is_there(what: str) -> bool:
    if what == "ws":
        return npm_ws() is not None
    if what == "bun":
        return _bun().exists()
    if importlib.util.find_spec(what) is not None:
        return True
    return (CACHE / "python" / what).is_dir()


def _install(what: str) -> None:
    CACHE.mkdir(exist_ok=True)
    npm = shutil.which("npm")
    if what in ("ws", "bun"):
        command = [str(npm), "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix=.", *NPM]
        if npm is None:
            return
    else:
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", "python"]
        command += [name for name in PIP if name.startswith(what)] or [what]
    subprocess.run(command, cwd=CACHE, stdin=subprocess.DEVNULL, check=False, timeout=300)


def _bun() -> Path:
    return CACHE / "node_modules" / ".bin" / "bun"


def _linked(name: str) -> str:
    """Copy a script to where Node.js finds its packages, and return the place."""
    return str(shutil.copy(APPS / name, CACHE / name))
