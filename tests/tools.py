"""The programs outside Python that some tests need, and how a test says that it needs one."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["TOOLS", "Tool", "chromium", "curl", "node"]


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


def curl() -> str | None:
    """Return the path of curl, where it is installed."""
    return next(_installed("curl"), None)


def _installed(*names: str) -> Iterator[str]:
    return (path for path in map(shutil.which, names) if path)


def _runs(path: str) -> bool:
    # Ubuntu's chromium is a script that asks for a snap.
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


TOOLS = (
    Tool("browser", "Chromium", chromium(), "chromium"),
    Tool("curl", "curl", curl(), "curl"),
    Tool("node", "Node.js", node(), "nodejs"),
)
"""One entry per marker that stands for a program."""
