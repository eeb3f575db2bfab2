"""Makes a project from the template: the chat and the clock."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from longwave.errors import ConfigError

__all__ = ["create_project"]

TEMPLATE = "chat"
# A file of this name inside the package would be obeyed by the tools that build it.
RENAMED = {"gitignore": ".gitignore"}
SKIPPED = ("__pycache__", ".mypy_cache", ".ruff_cache")


def create_project(folder: Path) -> list[Path]:
    """Write a project into a missing or empty folder; return its files, relative.

    Raises `ConfigError` for anything else that is there.
    """
    folder = folder.absolute()
    if folder.exists():
        if not folder.is_dir():
            raise ConfigError(f"{folder}: expected a new name, found a file")
        if found := sorted(path.name for path in folder.iterdir()):
            raise ConfigError(f"{folder}: expected a new or empty folder, found {', '.join(found[:3])} in it")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy(files("longwave.cli") / "templates" / TEMPLATE, folder, project_name(folder.name), written)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    return sorted(path.relative_to(folder) for path in written)


def project_name(folder: str) -> str:
    """Return the name of a folder as a distribution's, which knows few characters."""
    return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-") or "my-app"


def _copy(source: Traversable, target: Path, name: str, written: list[Path]) -> None:
    for entry in source.iterdir():
        if entry.name in SKIPPED:
            continue
        path = target / RENAMED.get(entry.name, entry.name)
        if entry.is_dir():
            path.mkdir()
            _copy(entry, path, name, written)
        else:
            path.write_text(entry.read_text("utf-8").replace("__NAME__", name), "utf-8")
            written.append(path)
