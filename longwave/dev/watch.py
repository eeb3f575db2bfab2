"""Tells which files of a project changed: Python, TOML, `.env`, what pages are made of; nothing of tools."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["IGNORED_FOLDERS", "Watcher", "is_ignored_folder", "is_page_file", "is_watched", "may_be_folder"]

IGNORED_FOLDERS = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"})
"""Folders that tools write; those whose names begin with a dot are ignored too."""
SUFFIXES = (".py", ".toml")
PUBLIC = "public"
PAGE = "index.html"
TEMPORARY = ("~", ".tmp", ".swp", "#", "___jb_tmp___", "___jb_old___")
"""How the names of files end that editors keep for a moment."""
DEBOUNCE_MS = 200
STEP_MS = 10
"""Quiet time after which a burst of changes is told: an editor saves in several steps."""


def is_ignored_folder(name: str) -> bool:
    """Return whether nothing inside a folder of this name is looked at."""
    return name.startswith(".") or name in IGNORED_FOLDERS


def may_be_folder(path: Path, root: Path) -> bool:
    """Return whether what is gone may have been a folder of watched files."""
    if not path.is_relative_to(root) or path.suffix:
        return False
    return not any(is_ignored_folder(part) for part in path.relative_to(root).parts)


def is_page_file(path: Path, root: Path) -> bool:
    """Return whether pages are made of a file: of `public/`, or the root's page.

    It is never code, whatever its name.
    """
    if not path.is_relative_to(root):
        return False
    first, *rest = path.relative_to(root).parts or ("",)
    if not rest:
        return first == PAGE
    is_hidden = any(name.startswith(".") for name in rest)
    return first == PUBLIC and not is_hidden and not path.name.endswith(TEMPORARY)


def is_watched(path: Path, root: Path, extra: Iterable[Path] = ()) -> bool:
    """Return whether a change to a file can change what is served."""
    if path in extra or is_page_file(path, root):
        return True
    if not path.is_relative_to(root):
        return False
    *folders, name = path.relative_to(root).parts or ("",)
    if any(is_ignored_folder(folder) for folder in folders):
        return False
    if name == ".env" or name.startswith(".env."):
        return not folders
    return name.endswith(SUFFIXES) and not name.startswith(".")


class Watcher:
    """Watches a project folder; calls `changed` in the loop with each burst's files.

    The root itself is watched flat and its folders deep, so that a `.venv` or `node_modules` beside the code
    costs nothing. `extra` are files elsewhere that count as well. `notice` is told when the system cannot
    watch and the files are looked at in turn instead. From `begun` on no change is missed.
    """

    def __init__(
        self,
        root: Path,
        changed: Callable[[frozenset[Path]], None],
        *,
        extra: Iterable[Path] = (),
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        # Some systems tell real paths, whatever they were asked for.
        self._root = root.resolve()
        self._extra = frozenset(path.resolve() for path in extra)
        self._changed = changed
        self._notice = notice
        self.begun = asyncio.Event()
        self._polling: bool | None = None
        self._later: dict[Path, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        flat = {self._root, *(path.parent for path in self._extra if path.parent.is_dir())}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(flat, recursive=False, group=group))
            if folders := self._folders():
                group.create_task(self._watch(folders, recursive=True, group=group))
            # The watch is set within the first step of those tasks, and their first step is before this one.
            group.create_task(self._begin())

    async def _begin(self) -> None:
        self.begun.set()

    def _folders(self) -> set[Path]:
        with os.scandir(self._root) as entries:
            return {
                Path(entry.path) for entry in entries if entry.is_dir() and not is_ignored_folder(entry.name)
            }

    async def _watch(self, paths: set[Path], *, recursive: bool, group: asyncio.TaskGroup) -> None:
        from watchfiles import Change, awatch

        while True:
            try:
                async for changes in awatch(
                    *paths,
                    watch_filter=None,
                    recursive=recursive,
                    debounce=DEBOUNCE_MS,
                    step=STEP_MS,
                    force_polling=self._polling,
                ):
                    added = {Path(path) for change, path in changes if change is Change.added}
                    if not recursive:
                        self._watch_new(added, group)
                    gone = {Path(path) for change, path in changes if change is Change.deleted}
                    self._take({Path(path) for _, path in changes} | _files_in(added), gone, added)
            except OSError as error:
                if self._polling:
                    raise
                self._polling = True
                self._notice(
                    f"The system cannot watch the files ({error}); they are looked at in turn instead."
                )

    def _watch_new(self, added: set[Path], group: asyncio.TaskGroup) -> None:
        """Watch folders that came into the root; one of that name from before is another one now."""
        for path in added:
            if path.parent == self._root and not is_ignored_folder(path.name) and path.is_dir():
                if path in self._later:
                    self._later[path].cancel()
                self._later[path] = group.create_task(self._watch({path}, recursive=True, group=group))

    def _take(self, paths: set[Path], gone: set[Path], added: set[Path]) -> None:
        # A folder that is moved away is told of alone, without its files.
        files = frozenset(
            path
            for path in paths
            if is_watched(path, self._root, self._extra) or (path in gone and may_be_folder(path, self._root))
        )
        files -= {path for path in files if is_page_file(path, self._root) and _is_none(path, gone, added)}
        if files:
            self._changed(files)


def _is_none(path: Path, gone: set[Path], added: set[Path]) -> bool:
    """Whether this is a folder, or a file that was there for a moment: editors move such ones into place."""
    return path.is_dir() or (path in gone and path in added and not path.exists())


def _files_in(folders: set[Path]) -> set[Path]:
    """Return the files of folders that were just made: they may be older than the watch on them."""
    return {
        Path(folder, name)
        for added in folders
        if not is_ignored_folder(added.name) and added.is_dir()
        for folder, _, names in os.walk(added)
        for name in names
    }
