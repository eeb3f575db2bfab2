"""The programs outside Python that some tests need, and how a test says that it needs one."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass

__all__ = ["TOOLS", "Tool", "chromium", "node"]


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a marked test needs: where it is, or how to get it."""

    marker: str
    name: str
    path: str | None
    package: str


def chromium() -> str | None:
    """Return the path of a Chromium, where one is installed and can be driven."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return _first("chromium", "chromium-browser", "google-chrome")


def node() -> str | None:
    """Return the path of Node.js, where it is installed."""
    return _first("node", "nodejs")


def _first(*names: str) -> str | None:
    return next((path for path in map(shutil.which, names) if path), None)


TOOLS = (
    Tool("browser", "Chromium", chromium(), "chromium"),
    Tool("node", "Node.js", node(), "nodejs"),
)
"""One entry per marker that stands for a program."""
