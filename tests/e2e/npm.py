"""Front ends from npm, for tests: installed once, by their lock file, beside this Python."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["FRONT_ENDS", "installing", "make_project"]

FRONT_ENDS = Path(__file__).parents[1] / "data"
"""Where the front ends are whose names `make_project` takes."""

NODE = (20, 19)
"""What Vite 8 needs."""

ECHO = """
from longwave import Message, Peer, define_websocket_handler

handler = define_websocket_handler()


@handler.message
def echo(peer: Peer, message: Message) -> None:
    peer.send(message)
"""
CLOCK = """
from longwave import Event, EventStream, create_event_stream


async def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    stream.every(0.05, lambda: stream.push("tick"))
    return stream
"""
CONFIG = """
from longwave import define_config

config = define_config(frontend={"vite": {"root": "web"}})
"""


def make_project(root: Path, name: str) -> Path:
    """Write a project with a front end of `tests/data` in `web`, ready to run; skips where npm cannot."""
    packages = _installed(name)
    shutil.copytree(FRONT_ENDS / name, root / "web")
    # By links: a hundred megabytes need not be copied.
    shutil.copytree(packages, root / "web" / "node_modules", symlinks=True, copy_function=os.link)
    routes = root / "src" / "server" / "routes" / "api"
    (routes / "ws").mkdir(parents=True)
    (routes / "ws" / "echo.py").write_text(ECHO)
    (routes / "clock.py").write_text(CLOCK)
    (root / "longwave.config.py").write_text(CONFIG)
    return root


@contextlib.contextmanager
def installing(folder: Path) -> Iterator[str | None]:
    """Keep other processes from installing there for a block; gives npm, or None where all is there already.

    It is complete when the block ends well. Skips where there is no npm.
    """
    complete = folder / "complete"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            yield None
            return
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed")
        yield npm
        complete.touch()


@functools.cache
def _installed(name: str) -> Path:
    """Return `node_modules` of a front end, installed as its lock file says."""
    source = FRONT_ENDS / name
    key = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(sys.prefix) / "npm" / f"{name}-{key}"
    _check_node()
    with installing(folder) as npm:
        if npm is not None:
            shutil.rmtree(folder / "node_modules", ignore_errors=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copy(source / file, folder)
            # Not `npm ci`: it refuses lock files that leave out what is for other systems.
            command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=0"]
            try:
                subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=150)
            except (subprocess.SubprocessError, OSError) as error:
                said = getattr(error, "stderr", None) or ""
                pytest.skip(f"npm cannot install {name}: {error}\n{said}")
    return folder / "node_modules"


def _check_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    text = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    found = tuple(map(int, re.findall(r"\d+", text)[:2]))
    if found < NODE:
        pytest.skip(f"Vite needs Node.js {NODE[0]}.{NODE[1]}, and this is {text.strip()}")
