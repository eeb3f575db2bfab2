"""What the loader knows of a module: its place, name, imports, failure."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from longwave.errors import RouteError

__all__ = ["ModuleFailure", "Package", "Record", "candidates", "closure", "locate", "module_name", "stamp_of"]


class ModuleFailure(RouteError):
    """A module could not be loaded; the text names file, line and source line.

    `path`, `lineno` and `line` are the deepest place in the project's own code that the error passed
    (`lineno` is 0 and `line` empty where there is none); `exception`, also the `__cause__`, is the error.
    """

    def __init__(self, wanted: Path, exception: BaseException, root: Path, prefix: str) -> None:
        self.path, self.lineno, self.line = _place(wanted, exception, prefix)
        self.exception = exception
        name = type(exception).__name__
        text = (exception.msg if isinstance(exception, SyntaxError) else str(exception)) or "no message"
        where = _shown(self.path, root) + (f", line {self.lineno}" if self.lineno else "")
        if self.path != wanted:
            where += f" (imported for {_shown(wanted, root)})"
        super().__init__(f"{where}: {name}: {text}" + (f"\n    {self.line}" if self.line else ""))


class Record:
    """One module of one generation.

    `imports` are the modules that it holds, as they were when it imported them; `wanted` are all paths whose
    change concerns it, those of modules that were looked for and not found among them. `stamp` is that of its
    file when it was read.
    """

    __slots__ = ("cache", "imports", "module", "name", "path", "ready", "stamp", "views", "wanted")

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.module = ModuleType(name)
        self.imports: dict[Path, Record] = {}
        self.wanted: set[Path] = set()
        self.views: dict[Path, Package] = {}
        self.cache: dict[tuple[str, tuple[str, ...], int], tuple[object, ModuleType]] = {}
        self.ready = False
        self.stamp: tuple[int, int] | None = None

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__.py` of its folder."""
        return self.path.name == "__init__.py"

    def reach(self, path: Path) -> Record | None:
        """Return a module that this one, or one that it imports, holds already."""
        seen, todo = {id(self)}, [self]
        while todo:
            record = todo.pop()
            found = record.imports.get(path)
            if found is not None:
                return found
            for other in list(record.imports.values()):
                if id(other) not in seen:
                    seen.add(id(other))
                    todo.append(other)
        return None


class Package(ModuleType):
    """A folder as a package: its submodules are looked up, and not kept.

    So a package that did not change can be shared by generations whose submodules differ.
    """

    __slots__ = ("_lw_child",)

    _lw_child: Callable[[str], ModuleType | None]

    def __init__(self, name: str, folder: Path, child: Callable[[str], ModuleType | None]) -> None:
        super().__init__(name)
        vars(self)["__path__"] = [str(folder)]
        super().__setattr__("_lw_child", child)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and name != "_lw_child":
            found = self._lw_child(name)
            if found is not None:
                return found
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        # importlib stores a submodule in its package; kept, it would outlive its generation.
        if not (isinstance(value, ModuleType) and self._lw_child(name) is value):
            super().__setattr__(name, value)


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Return time and size of a file, which tell its versions apart, or None."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def candidates(stem: Path) -> tuple[Path, Path]:
    """Return the files that a module could be, in Python's order."""
    return stem / "__init__.py", stem.with_name(stem.name + ".py")


def locate(stem: Path) -> Path | None:
    """Return a module's file, or its folder where that has no `__init__.py`, or None."""
    for path in candidates(stem):
        if path.is_file():
            return path
    return stem if stem.is_dir() else None


def closure(edges: Mapping[Path, Iterable[Path]], paths: Iterable[Path]) -> set[Path]:
    """Return what leads to any of the paths, the paths themselves left out."""
    importers: dict[Path, list[Path]] = {}
    for importer, wanted in edges.items():
        for path in wanted:
            importers.setdefault(path, []).append(importer)
    start = set(paths)
    found, todo = set(start), list(start)
    while todo:
        for importer in importers.get(todo.pop(), ()):
            if importer not in found:
                found.add(importer)
                todo.append(importer)
    return found - start


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of a file inside the root.

    `[id].py` and `users.get.py` become words. Different files can get one name (`users_get.py`): the loader
    tells them apart.
    """
    *folders, last = path.relative_to(root).parts
    parts = [*folders, last.removesuffix(".py")]
    if last == "__init__.py":
        parts.pop()
    return ".".join(re.sub(r"\W", "_", part) for part in parts)


def _place(wanted: Path, exception: BaseException, prefix: str) -> tuple[Path, int, str]:
    path, lineno = wanted, 0
    for frame, line in traceback.walk_tb(exception.__traceback__):
        # By name, not by folder: what is installed in the project's .venv is not the project's own.
        name, file = frame.f_globals.get("__name__"), frame.f_globals.get("__file__")
        if isinstance(name, str) and name.startswith(prefix) and file == frame.f_code.co_filename:
            path, lineno = Path(file), line
    if isinstance(exception, SyntaxError) and exception.filename and exception.lineno:
        named = Path(exception.filename)
        if named.is_file():
            return named, exception.lineno, (exception.text or _line(named, exception.lineno)).strip()
    return path, lineno, _line(path, lineno)


def _line(path: Path, lineno: int) -> str:
    # Read afresh: linecache keeps the text of a file that is being edited.
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[lineno - 1].strip() if 0 < lineno <= len(lines) else ""


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
