"""The programs outside Python that some tests need, and how a test says that it needs one."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TOOLS", "Tool", "chromium", "compiler", "curl", "nginx", "node"]


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a marked test needs: where it is, or how to get it."""

    marker: str
    name: str
    path: str | None
    package: str


@functools.cache
def chromium() -> str | None:
    """Return the path of a Chromium, where one is installed and can be driven."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return next(filter(_runs, _installed("chromium", "chromium-browser", "google-chrome")), None)


def node() -> str | None:
    """Return the path of Node.js, where it is installed."""
    return next(_installed("node", "nodejs"), None)


def compiler() -> str | None:
    """Return the path of the C compiler, where there is one."""
    return next(_installed("cc"), None)


def curl() -> str | None:
    """Return the path of curl, where it is installed."""
    return next(_installed("curl"), None)


def nginx() -> str | None:
    """Return the path of nginx, where it is installed; Debian keeps it out of a user's path."""
    return next(_installed("nginx", "/usr/sbin/nginx"), None)


def npm_ws() -> str | None:
    """Return the folder of npm's package ws, where `make tools` or `make calibrate` has installed it."""
    folder = Path(sys.prefix) / "calibration" / "node_modules" / "ws"
    return str(folder) if node() is not None and folder.is_dir() else None


def _installed(*names: str) -> Iterator[str]:
    return (path for path in map(shutil.which, names) if path)


def _runs(path: str) -> bool:
    # Ubuntu's chromium is a script that asks for a snap.
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


TOOLS = (
    Tool("browser", "Chromium", chromium(), "chromium"),
    Tool("cc", "a C compiler", compiler(), "gcc libc6-dev"),
    Tool("curl", "curl", curl(), "curl"),
    Tool("nginx", "nginx", nginx(), "nginx"),
    Tool("node", "Node.js", node(), "nodejs"),
    Tool("npm_ws", "npm's ws", npm_ws(), "npm, then: make tools"),
)
"""One entry per marker that stands for a program."""
