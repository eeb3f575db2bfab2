"""How modules find each other: their `__import__`, and importlib's way in."""

from __future__ import annotations

import builtins
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

from longwave.routing.graph import Package, Record, candidates, locate

__all__ = ["Finder", "Importer", "SourceLoader"]

_OURS = __name__.partition(".")[0]


class Importer:
    """Resolves imports by place: a name is a file under the root, or foreign.

    `find(record, path)` returns a module as the module of a record sees it, loading it if need be; `seen`
    does the same for what is loaded already, or returns None. `is_building` tells whether this thread loads
    modules. What is noted in records is noted by single operations, without a lock.
    """

    def __init__(
        self,
        root: Path,
        find: Callable[[Record | None, Path], Record],
        seen: Callable[[Record | None, Path], Record | None],
        is_building: Callable[[], bool],
    ) -> None:
        self._root = root
        self._find = find
        self._seen = seen
        self._is_building = is_building
        self._epoch = object()
        self._owned: dict[str, bool] = {}

    def forget(self) -> None:
        """Resolve again what was resolved: modules or files have changed."""
        self._epoch = object()
        self._owned = {}

    def import_for(
        self,
        record: Record,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Be the `__import__` of one module; what Python gives follows `record`."""
        names = tuple(fromlist or ())
        key = (name, names, level)
        epoch = self._epoch
        hit = record.cache.get(key)
        if hit is not None and hit[0] is epoch:
            return hit[1]
        if level == 0 and not self._owns(name):
            try:
                return builtins.__import__(name, globals, locals, names, 0)
            except ModuleNotFoundError:
                record.wanted.update(candidates(self._root / name.partition(".")[0]))
                raise
        folder = self._base(record, level) if level else self._root
        module = self._import(record, folder, name.split(".") if name else [], names, level == 0)
        # A late import runs at each call of its function; until something is exchanged it gives the same.
        # What is being built is not for others, who call the same shared code.
        if (
            record.ready
            and not self._is_building()
            and all(item == "*" or hasattr(module, item) for item in names)
        ):
            record.cache[key] = (epoch, module)
        return module

    def package(self, name: str, folder: Path, record: Record | None) -> Package:
        """Return a package whose submodules are those that a module sees."""
        return Package(name, folder, partial(self._child, record, folder, False))

    def _import(
        self, record: Record, folder: Path, parts: list[str], names: tuple[str, ...], absolute: bool
    ) -> ModuleType:
        """Import `a.b.c` from a folder; return `a`, or `c` if names are taken from it."""
        init = folder / "__init__.py"
        place = init if folder != self._root and init.is_file() else folder
        taken: list[ModuleType] = []
        for index, part in enumerate(parts):
            stem = folder / part
            dotted = ".".join(stem.relative_to(self._root).parts)
            if place.suffix == ".py" and place != init:
                raise ModuleNotFoundError(
                    f"No module named {dotted!r}: {place} is not a package", name=dotted
                )
            found = locate(stem)
            if found is None:
                record.wanted.update(candidates(stem))
                raise ModuleNotFoundError(f"No module named {dotted!r} in {self._root}", name=dotted)
            # `from a.b import c` takes nothing from `a`; that it is loaded before `b` is the loader's matter.
            if index == len(parts) - 1 or not names:
                taken.append(self._take(record, stem, found))
            folder, place, init = stem, found, stem / "__init__.py"
        if not taken:
            taken.append(self._take(record, folder, place))
        if names and (place.suffix != ".py" or place == init):
            self._take_names(record, taken[-1], folder, names)
        return taken[0] if absolute else taken[-1]

    def _take_names(self, record: Record, module: ModuleType, folder: Path, names: tuple[str, ...]) -> None:
        """Import those names that are submodules of a package and not attributes of it."""
        for name in getattr(module, "__all__", ()) if "*" in names else names:
            if name not in vars(module):
                stem = folder / name
                found = locate(stem)
                record.wanted.update(candidates(stem))
                if found is not None:
                    self._take(record, stem, found)

    def _take(self, record: Record, stem: Path, place: Path) -> ModuleType:
        """Return what was located, as one module sees it, which then holds it."""
        if stem != self._root:
            record.wanted.update(candidates(stem))
        if place.suffix != ".py":
            return self._view(record, place)
        target = self._find(record, place)
        if target is not record:
            record.imports[place] = target
        if record.is_package and stem.parent == record.path.parent:
            vars(record.module).setdefault(stem.name, target.module)
        return target.module

    def _view(self, record: Record, folder: Path) -> Package:
        """Return a folder without `__init__.py` as one module sees it."""
        view = record.views.get(folder)
        if view is None:
            parts = [record.name.partition(".")[0], *folder.relative_to(self._root).parts]
            view = Package(".".join(parts), folder, partial(self._child, record, folder, True))
            record.views[folder] = view
        return view

    def _child(self, record: Record | None, folder: Path, is_view: bool, name: str) -> ModuleType | None:
        """Return a submodule of a package, if it is loaded."""
        stem = folder / name
        place = locate(stem)
        if place is None:
            return None
        if place.suffix != ".py":
            return self._view(record, place) if record is not None else None
        found = self._seen(record, place)
        if found is None:
            return None
        if is_view and record is not None and found.ready:
            record.wanted.update(candidates(stem))
            record.imports[place] = found
            vars(self._view(record, folder))[name] = found.module
        return found.module

    def _owns(self, name: str) -> bool:
        """Whether the name of an absolute import is the project's.

        It is when the project has that file, or when it is `src`. Another folder without `__init__.py`
        gives way to what is installed, as in Python, but for the modules that are in it.
        """
        owned = self._owned.get(name)
        if owned is None:
            parts = name.split(".")
            place = locate(self._root / parts[0]) if parts[0] not in ("", _OURS) else None
            if place is None or place.suffix == ".py" or parts[0] == "src":
                owned = place is not None
            else:
                exists = len(parts) > 1 and locate(self._root.joinpath(*parts)) is not None
                owned = exists or not _is_installed(parts[0])
            self._owned[name] = owned
        return owned

    def _base(self, record: Record, level: int) -> Path:
        folder = record.path.parent
        for _ in range(level - 1):
            if folder == self._root:
                raise ImportError(f"a relative import with {level} dots leads out of {self._root}")
            folder = folder.parent
        return folder


class Finder:
    """Lets importlib find modules by the names under which they are registered.

    `import_module(".words", __package__)` and walks over `__path__` come here.
    """

    def __init__(self, prefix: str, find: Callable[[Path], Record]) -> None:
        self._prefix = prefix
        self._find = find

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to get a module by its registered name; None for all other names."""
        if path is None or not fullname.startswith(self._prefix):
            return None
        place = locate(Path(path[0]) / fullname.rpartition(".")[2])
        if place is None or place.suffix != ".py":
            return None
        return self._find(place).module.__spec__


class SourceLoader(SourceFileLoader):
    """The loader that a module's `__spec__` names.

    It gives sources and data; what it is asked to load is there already.
    """

    def __init__(self, name: str, path: Path, module: ModuleType) -> None:
        super().__init__(name, str(path))
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: our own loader has executed it."""


def _is_installed(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return name in sys.modules
    return spec is not None and spec.origin is not None
