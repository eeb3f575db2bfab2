"""A project's own modules in generations: loaded from source, swapped as one, never mixed.

Everything under the root is loaded here, under names such as `lw_3f2a91c0_1.src.server.util.words`; what is
installed comes from Python's own import. Modules find each other by the `__import__` that they are given, so
`from src.server.util.words import shout`, relative, late, star and circular imports work, and two loaders, or
a foreign package called `src`, never meet.

A change makes generation n+1 of the changed modules and of all that import them; the others are shared. Code
of an old generation goes on with the modules that it has. Classes of a reloaded module are new ones.

What differs from an ordinary import: `importlib.import_module` does not know the name `src.x` (relative to
`__package__` it works, but what is imported that way is not followed by a reload of the importer); extension
modules inside the root are not found; the folder of a `.py` file that is reached by a link is the link's; a
thread that is started and waited for while a module loads cannot import modules of the project itself.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import itertools
import linecache
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.abc import Loader as SpecLoader
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

from longwave.errors import RouteError
from longwave.routing.graph import ModuleFailure, Package, Record, candidates, closure, locate, module_name

__all__ = ["Generation", "Loader", "ModuleFailure"]

_instances = itertools.count(1)
_OURS = __name__.partition(".")[0]


class Generation:
    """The project's modules as they stand together; made by `Loader.begin`, then committed or discarded."""

    def __init__(self, loader: Loader, number: int, base: Generation | None, dropped: set[Path]) -> None:
        self.number = number
        self.dropped = frozenset(dropped)
        self.records: dict[Path, Record] = {}
        self.entries: dict[Path, None] = {}
        self._loader = loader
        if base is not None:
            self.records = {path: record for path, record in base.records.items() if path not in dropped}
            self.entries = {path: None for path in base.entries if path.is_file()}

    def load(self, path: Path) -> ModuleType:
        """Return the module of a file in this generation; `ModuleFailure` leaves the generation as it was."""
        return self._loader._enter(self, path)

    def commit(self) -> None:
        """Make this the current generation, and drop what only the old one had."""
        self._loader._commit(self)

    def discard(self) -> None:
        """Throw this generation away; does nothing when that was done, or when it was committed."""
        self._loader._discard(self)


class Loader:
    """Loads the modules under a root; `close` takes them out of `sys.modules` again.

    `name` is put into the modules' names beside what keeps them apart from those of other loaders. All
    methods may be called from any thread.
    """

    def __init__(self, root: Path, name: str | None = None) -> None:
        self.root = root.resolve()
        self._given = Path(os.path.abspath(root))
        token = f"{self.root}\0{next(_instances)}".encode(errors="surrogateescape")
        digest = hashlib.blake2b(token, digest_size=4).hexdigest()
        self._prefix = f"lw_{name}_{digest}_" if name else f"lw_{digest}_"
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._current = Generation(self, next(self._numbers), None, set())
        self._open: Generation | None = None
        self._pending: set[Path] = set()
        self._failed: dict[Path, set[Path]] = {}
        self._owned: dict[str, bool] = {}
        self._epoch = object()
        self._closed = False
        # Set while modules are executed, by the thread that holds the lock.
        self._building: Generation | None = None
        self._builder = 0
        self._added: list[tuple[Generation, Record]] | None = None
        self._finder = _Finder(self, self._prefix)
        sys.meta_path.append(self._finder)

    def load(self, path: Path) -> ModuleType:
        """Return the module of a file in the current generation, loading it if it is not there yet.

        A file that cannot be loaded, or lies outside of the root, raises `RouteError`: `ModuleFailure` for
        what went wrong in the project's code. Nothing that was imported on the way stays.
        """
        with self._lock:
            return self._enter(self._current, path)

    def module_paths(self) -> set[Path]:
        """Return the files of all modules of the current generation."""
        return set(self._current.records)

    def dependents(self, paths: Iterable[Path]) -> set[Path]:
        """Return the modules that import any of the files, directly or not, without the files themselves.

        Imports count from when they are executed, late ones too. Modules whose last loading failed are
        among them, so that it can be tried again.
        """
        with self._lock:
            edges = {path: set(wanted) for path, wanted in self._failed.items()}
            for path, record in self._current.records.items():
                edges.setdefault(path, set()).update(record.wanted)
        return closure(edges, map(self._key, paths))

    def begin(self, changed: Iterable[Path]) -> Generation:
        """Build the next generation: new modules for the changed files and all that import them.

        Those that were loaded by `load`, and late imports of unchanged code, are loaded at once;
        `ModuleFailure` means that the new generation was thrown away. The changes of a generation that was
        not committed are changes for the next one too. An open generation is discarded.
        """
        with self._lock:
            self._check_open()
            if self._open is not None:
                self._discard(self._open)
            self._owned.clear()
            self._pending.update(map(self._key, changed))
            changed = frozenset(self._pending)
            generation = Generation(
                self, next(self._numbers), self._current, self._pending | self.dependents(changed)
            )
            self._open = generation
            try:
                for path in self._to_load(generation, changed):
                    with self._executing(generation):
                        self._obtain(generation, path)
            except (Exception, SystemExit) as error:
                self._discard(generation)
                raise self._failure(path, error) from error
            except BaseException:
                self._discard(generation)
                raise
            return generation

    def close(self) -> None:
        """Take all modules out of `sys.modules`; code that still runs keeps what it imported."""
        with self._lock:
            self._closed = True
            self._open = None
            self._current.records = {}
            self._epoch = object()
            self._sweep()
            if self._finder in sys.meta_path:
                sys.meta_path.remove(self._finder)

    # What a generation asks for.

    def _enter(self, generation: Generation, path: Path) -> ModuleType:
        key = self._key(path)
        if not key.is_relative_to(self.root):
            raise RouteError(f"{path} lies outside of {self.root}, so it cannot be a module of the project")
        with self._lock:
            self._check_open()
            if generation not in (self._current, self._open):
                raise RuntimeError(f"generation {generation.number} is over")
            try:
                with self._executing(generation):
                    record = self._obtain(generation, key)
            except (Exception, SystemExit) as error:
                raise self._failure(key, error) from error
            generation.entries[key] = None
            return record.module

    def _commit(self, generation: Generation) -> None:
        with self._lock:
            if generation is not self._open:
                raise RuntimeError(f"generation {generation.number} is not open")
            old = self._current
            for path, record in old.records.items():
                # What the old generation imported late since `begin`.
                if path not in generation.dropped:
                    generation.records.setdefault(path, record)
            generation.entries.update((path, None) for path in old.entries if path.is_file())
            self._current, self._open = generation, None
            old.records = {}
            # A shared module can have imported an old one late since `begin`: the next change renews it.
            self._pending = {
                path
                for path, record in generation.records.items()
                if any(generation.records.get(key) is not other for key, other in record.imports.items())
            }
            self._epoch = object()
            self._sweep()

    def _discard(self, generation: Generation) -> None:
        with self._lock:
            if generation is self._open:
                self._open = None
                generation.records = {}
                self._epoch = object()
                self._sweep()

    def _to_load(self, generation: Generation, changed: frozenset[Path]) -> list[Path]:
        """Return what a new generation starts with, in the order in which it was loaded before."""
        late = set()
        for path, record in self._current.records.items():
            if path not in changed:
                late |= record.wanted
        return [
            path
            for path in self._current.records
            if path in generation.dropped and (path in generation.entries or path in late) and path.is_file()
        ]

    # How a module comes to be; all of these run with the lock held.

    @contextmanager
    def _executing(self, generation: Generation) -> Iterator[None]:
        """Load into a generation on this thread; when the outermost load fails, undo all of it."""
        outermost = self._added is None
        previous, self._building = self._building, generation
        self._builder = threading.get_ident()
        if outermost:
            self._added = []
        try:
            yield
        except BaseException:
            if outermost:
                self._roll_back()
            raise
        finally:
            self._building = previous
            if outermost:
                self._added = None

    def _roll_back(self) -> None:
        for generation, record in self._added or ():
            self._failed[record.path] = record.wanted
            if generation.records.get(record.path) is record:
                del generation.records[record.path]
        self._epoch = object()
        self._sweep()

    def _obtain(self, generation: Generation, path: Path) -> Record:
        """Return a module, loading it and before it the packages that it is in."""
        folders = [
            folder for folder in path.parents if folder != self.root and folder.is_relative_to(self.root)
        ]
        for folder in reversed(folders):
            init = folder / "__init__.py"
            if path not in generation.records and init != path and init.is_file():
                self._obtain(generation, init)
        found = generation.records.get(path)
        return found if found is not None else self._execute(generation, path)

    def _execute(self, generation: Generation, path: Path) -> Record:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        record = self._make_record(generation, path)
        assert self._added is not None
        self._added.append((generation, record))
        generation.records[path] = record
        self._register(record)
        linecache.cache.pop(str(path), None)
        spec = record.module.__spec__
        # Read by Python, to say "partially initialized module" in the message of a circular import.
        vars(spec)["_initializing"] = True
        try:
            exec(code, vars(record.module))
        except BaseException:
            self._failed[path] = record.wanted
            if generation.records.get(path) is record:
                del generation.records[path]
            self._sweep()
            raise
        finally:
            del vars(spec)["_initializing"]
        record.ready = True
        self._failed.pop(path, None)
        return record

    def _make_record(self, generation: Generation, path: Path) -> Record:
        top = f"{self._prefix}{generation.number}"
        name = f"{top}.{module_name(path, self.root)}".removesuffix(".")
        while any(record.name == name for record in generation.records.values()):
            name += "_"
        record = Record(path, name)
        if record.is_package:
            record.module = Package(name, path.parent, partial(self._child, record, path.parent, False))
        loader = SourceFileLoader(name, str(path))
        spec = ModuleSpec(name, loader, origin=str(path), is_package=record.is_package)
        spec.has_location = True
        if record.is_package:
            spec.submodule_search_locations = [str(path.parent)]
        vars(record.module).update(
            __spec__=spec,
            __loader__=loader,
            __file__=str(path),
            __package__=name if record.is_package else name.rpartition(".")[0],
            __builtins__={**vars(builtins), "__import__": partial(self._import, record)},
        )
        return record

    def _register(self, record: Record) -> None:
        sys.modules[record.name] = record.module
        name, folder = record.name, record.path.parent
        if record.is_package and folder != self.root:
            folder = folder.parent
        while (name := name.rpartition(".")[0]) and name not in sys.modules:
            # Python asks for a module's parents when it unpickles, importlib when it resolves a name.
            module = Package(name, folder, partial(self._child, None, folder, False))
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(folder)]
            vars(module).update(__spec__=spec, __package__=name)
            sys.modules[name] = module
            folder = folder.parent

    def _sweep(self) -> None:
        """Leave in `sys.modules` the modules of the current and the open generation, and their parents."""
        records = [
            record
            for each in (self._current, self._open)
            if each is not None
            for record in each.records.values()
        ]
        kept = {record.name for record in records}
        for name in list(kept):
            while name := name.rpartition(".")[0]:
                kept.add(name)
        for name in list(sys.modules):
            if name.startswith(self._prefix) and name not in kept:
                del sys.modules[name]
        for record in records:
            self._register(record)

    # How modules find each other; these run on any thread.

    def _import(
        self,
        record: Record,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Be `__import__` for one module."""
        wanted = tuple(fromlist or ())
        key = (name, wanted, level)
        hit = record.cache.get(key)
        if hit is not None and hit[0] is self._epoch:
            return hit[1]
        epoch = self._epoch
        if level == 0 and not self._owns(name):
            try:
                return builtins.__import__(name, globals, locals, wanted, 0)
            except ModuleNotFoundError:
                record.wanted.update(candidates(self.root / name.partition(".")[0]))
                raise
        folder = _base(record, level, self.root) if level else self.root
        module = self._import_path(record, folder, name.split(".") if name else [], wanted, not level)
        # Late imports are repeated at each call; within a generation they always give the same.
        if record.ready and all(item == "*" or hasattr(module, item) for item in wanted):
            record.cache[key] = (epoch, module)
        return module

    def _import_path(
        self, record: Record, folder: Path, parts: list[str], wanted: tuple[str, ...], absolute: bool
    ) -> ModuleType:
        """Import `a.b.c` from a folder; return `a`, or with names to take from it, `c` and these names."""
        place = self._package_at(folder)
        first: ModuleType | None = None
        for index, part in enumerate(parts):
            if place.name != "__init__.py" and place.suffix == ".py":
                raise ModuleNotFoundError(
                    f"{_shown(place, self.root)} is a module, so it has no {part!r} in it"
                )
            stem = folder / part
            found = locate(stem)
            if found is None:
                record.wanted.update(candidates(stem))
                dotted = ".".join(stem.relative_to(self.root).parts)
                raise ModuleNotFoundError(f"No module named {dotted!r} in {self.root}", name=dotted)
            # `from a.b import c` needs `a` to be loaded, but takes nothing from it.
            holds = index == len(parts) - 1 or not wanted
            module = self._take(record, stem, found, holds)
            first = first or module
            place, folder = found, stem
        if not wanted:
            return (first if absolute else None) or self._take(record, folder, place, True)
        module = self._take(record, folder, place, True)
        if place.suffix != ".py" or place.name == "__init__.py":
            self._import_names(record, module, folder, wanted)
        return module

    def _import_names(
        self, record: Record, module: ModuleType, folder: Path, wanted: tuple[str, ...]
    ) -> None:
        """Import those of the names that are submodules of a package and not attributes of it."""
        if "*" in wanted:
            wanted = tuple(getattr(module, "__all__", ()))
        for name in wanted:
            if name in vars(module):
                continue
            stem = folder / name
            found = locate(stem)
            record.wanted.update(candidates(stem))
            if found is not None:
                self._take(record, stem, found, True)

    def _take(self, record: Record, stem: Path, place: Path, holds: bool) -> ModuleType:
        """Load what was located, as one module sees it, and note that this module holds it."""
        if place.suffix != ".py":
            record.wanted.update(candidates(stem) if holds and stem != self.root else ())
            return self._view(record, place)
        target = self._find(record, place, True)
        assert target is not None
        if holds and target is not record:
            record.wanted.update(candidates(stem))
            record.imports[place] = target
        if record.is_package and stem.parent == record.path.parent:
            vars(record.module).setdefault(stem.name, target.module)
        return target.module

    def _find(self, record: Record | None, path: Path, load: bool) -> Record | None:
        """Return a module as another one sees it: that of its own generation."""
        generation = self._generation_of(record)
        if generation is not None:
            found = generation.records.get(path)
            if found is not None and (found.ready or not load):
                return found
        if not load:
            return record.reach(path) if record is not None and generation is None else None
        with self._lock:
            # Asked again: a commit may have come between.
            generation = self._generation_of(record)
            if generation is None:
                found = record.reach(path) if record is not None else None
                if found is not None:
                    return found
                generation = self._current
            if self._closed:
                raise ImportError(f"{path} cannot be imported: the application was closed")
            with self._executing(generation):
                return self._obtain(generation, path)

    def _generation_of(self, record: Record | None) -> Generation | None:
        """Return the generation that a module belongs to now; None when it was replaced."""
        if self._building is not None and self._builder == threading.get_ident():
            building = self._building
        else:
            building = None
        if record is None:
            return building or self._current
        for generation in (building, self._current, self._open):
            if generation is not None and generation.records.get(record.path) is record:
                return generation
        return None

    def _view(self, record: Record, folder: Path) -> Package:
        """Return a folder without `__init__.py` as one module sees it."""
        view = record.views.get(folder)
        if view is None:
            parts = [record.name.partition(".")[0], *folder.relative_to(self.root).parts]
            view = Package(".".join(parts), folder, partial(self._child, record, folder, True))
            record.views[folder] = view
        return view

    def _child(self, record: Record | None, folder: Path, is_view: bool, name: str) -> ModuleType | None:
        """Return a submodule that is loaded; a view belongs to one module, which then holds it."""
        stem = folder / name
        place = locate(stem)
        if place is None:
            return None
        if place.suffix != ".py":
            return self._view(record, place) if record is not None else None
        found = self._find(record, place, False)
        if found is None:
            return None
        if is_view and record is not None and found.ready:
            record.wanted.update(candidates(stem))
            record.imports[place] = found
            vars(self._view(record, folder))[name] = found.module
        return found.module

    def _owns(self, name: str) -> bool:
        """Whether a name of an absolute import is the project's: it has a file of that name, or `src`.

        Another folder without `__init__.py` gives way to an installed package, as in Python, except for
        modules that it has.
        """
        owned = self._owned.get(name)
        if owned is None:
            parts = name.split(".")
            place = locate(self.root / parts[0]) if parts[0] not in ("", _OURS) else None
            if place is None or place.suffix == ".py" or parts[0] == "src":
                owned = place is not None
            else:
                exists = len(parts) > 1 and locate(self.root.joinpath(*parts)) is not None
                owned = exists or not _is_installed(parts[0])
            self._owned[name] = owned
        return owned

    def _package_at(self, folder: Path) -> Path:
        init = folder / "__init__.py"
        return init if folder != self.root and init.is_file() else folder

    def _key(self, path: Path) -> Path:
        """Return a path as the loader knows it: inside the resolved root, however it was given."""
        path = Path(os.path.abspath(path))
        if not path.is_relative_to(self.root):
            if path.is_relative_to(self._given):
                return self.root / path.relative_to(self._given)
            return path.resolve()
        return path

    def _failure(self, path: Path, error: BaseException) -> ModuleFailure:
        return ModuleFailure(path, error, self.root, self._prefix)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the loader is closed")


class _Finder(MetaPathFinder):
    """Lets importlib find modules by the names under which they are registered."""

    def __init__(self, loader: Loader, prefix: str) -> None:
        self._loader = loader
        self._prefix = prefix

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None or not fullname.startswith(self._prefix):
            return None
        place = locate(Path(path[0]) / fullname.rpartition(".")[2])
        if place is None or place.suffix != ".py":
            return None
        found = self._loader._find(None, place, True)
        assert found is not None
        return ModuleSpec(fullname, _Loaded(found.module), is_package=found.is_package)


class _Loaded(SpecLoader):
    """Hands importlib a module that is loaded already, and undoes what it does to it."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _base(record: Record, level: int, root: Path) -> Path:
    folder = record.path.parent
    for _ in range(level - 1):
        if folder == root:
            raise ImportError(f"a relative import with {level} dots leads out of {root}")
        folder = folder.parent
    return folder


def _is_installed(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return name in sys.modules
    return spec is not None and spec.origin is not None


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
