"""A project's own modules, loaded from source, in generations.

Modules of a generation are swapped as one, and never mixed with those of another.

Everything under the root is loaded here, under names such as `lw_3f2a91c0_1.src.server.util.words`; what is
installed comes from Python's own import. Modules find each other by the `__import__` that they are given, so
`from src.server.util.words import shout`, relative, late, star and circular imports work, and two loaders, or
a foreign package called `src`, never meet.

A change makes generation n+1 of the changed modules and of all that import them; the others are shared. Code
of an old generation goes on with the modules that it has. Classes of a reloaded module are new ones.

What differs from an ordinary import:

- `importlib.import_module` does not know the name `src.x`; relative to `__package__` it works, but a change
  of what was imported that way does not renew the importer.
- What is looked up in a package that has an `__init__.py` (`util.words.shout`) is that of the current
  generation for old code too; a name that was imported, or a dotted import through plain folders, is not.
- Extension modules inside the root are not found; behind a link, a file's folder is that of the link.
- A thread that is started and waited for while a module loads cannot import the project's modules itself.
"""

from __future__ import annotations

import builtins
import hashlib
import itertools
import linecache
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from longwave.errors import RouteError
from longwave.routing.graph import ModuleFailure, Package, Record, closure, module_name, stamp_of
from longwave.routing.imports import Finder, Importer, SourceLoader

__all__ = ["Generation", "Loader", "ModuleFailure"]

_instances = itertools.count(1)


class Generation:
    """The project's modules as they stand together.

    `Loader.begin` makes one; then it is committed or discarded."""

    def __init__(self, loader: Loader, number: int, base: Generation | None, dropped: set[Path]) -> None:
        self.number = number
        self.dropped = frozenset(dropped)
        self.records: dict[Path, Record] = {}
        self.entries: dict[Path, None] = {}
        self.finished: list[Record] = []
        self._loader = loader
        if base is not None:
            self.records = {path: record for path, record in base.records.items() if path not in dropped}
            self.entries = dict(base.entries)

    def load(self, path: Path) -> ModuleType:
        """Return the module of a file in this generation.

        `ModuleFailure` leaves the generation as it was.
        """
        return self._loader._enter(self, path)

    def exchanged(self) -> list[tuple[ModuleType, ModuleType]]:
        """Return the old and the new module of each file that has both, before the commit.

        Those that others import come first, as far as they do not import each other.
        """
        return self._loader._exchanged(self)

    def built(self) -> set[Path]:
        """Return the files of the modules that are new here, before the commit."""
        return {record.path for record in self.finished if self.records.get(record.path) is record}

    def is_outdated(self) -> bool:
        """Whether a file has changed since it was read for a new module."""
        return any(record.stamp != stamp_of(record.path) for record in self.finished)

    def commit(self) -> None:
        """Make this the current generation, and drop what only the old one had."""
        self._loader._commit(self)

    def discard(self) -> None:
        """Throw this generation away.

        Does nothing when that was done, or when it was committed.
        """
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
        self._closed = False
        # Set while modules are executed, by the thread that holds the lock.
        self._building: Generation | None = None
        self._builder = 0
        self._added: list[tuple[Generation, Record]] | None = None
        self._importer = Importer(self.root, self._find, self._seen, self._is_building)
        self._finder = Finder(self._prefix, partial(self._find, None))
        # First, because the finder of paths would take the files that packages point to.
        sys.meta_path.insert(0, self._finder)

    def load(self, path: Path) -> ModuleType:
        """Return the module of a file in the current generation.

        It is loaded if it is not there yet. A file that cannot be loaded, or lies outside of the root,
        raises `RouteError`: `ModuleFailure` for what went wrong in the project's code. Nothing that was
        imported on the way stays.
        """
        with self._lock:
            return self._enter(self._current, path)

    def loaded(self, path: Path) -> ModuleType | None:
        """Return the module of a file in the current generation, if it was loaded."""
        record = self._current.records.get(self._key(path))
        return record.module if record is not None and record.ready else None

    def emptied(self, paths: Iterable[Path]) -> bool:
        """Whether a module's file has nothing in it now: it may be being written."""
        for path in paths:
            record, stamp = self._current.records.get(self._key(path)), stamp_of(path)
            if record is not None and record.stamp is not None and record.stamp[1] and stamp and not stamp[1]:
                return True
        return False

    def module_paths(self) -> set[Path]:
        """Return the files of all modules of the current generation."""
        return set(self._current.records)

    def is_stale(self, name: str) -> bool:
        """Whether a dotted name was that of a module of this loader, and is no more."""
        parent = f"{name}."
        return name.startswith(self._prefix) and not any(
            known == name or known.startswith(parent) for known in list(sys.modules)
        )

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Keep other threads from loading; yields False where one does that now."""
        held = self._lock.acquire(blocking=False)
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    def dependents(self, paths: Iterable[Path]) -> set[Path]:
        """Return the modules that import any of the files, directly or not.

        The files themselves are left out. Imports count from when they are executed, late ones too. Modules
        whose last loading failed are among them, so that it can be tried again.
        """
        with self._lock:
            edges = {path: set(wanted) for path, wanted in self._failed.items()}
            for path, record in list(self._current.records.items()):
                edges.setdefault(path, set()).update(list(record.wanted))
        return closure(edges, map(self._key, paths))

    def begin(self, changed: Iterable[Path]) -> Generation:
        """Build the next generation, with new modules where something changed.

        The changed files and all that import them get new modules, the others are shared. Those that were
        loaded by `load`, and late imports of unchanged code, are loaded at once; `ModuleFailure` means that
        the new generation was thrown away. The changes of a generation that was not committed are changes
        for the next one too. An open generation is discarded.
        """
        with self._lock:
            self._check_open()
            if self._open is not None:
                self._discard(self._open)
            self._importer.forget()
            self._pending.update(map(self._key, changed))
            changed = frozenset(self._pending)
            generation = Generation(
                self, next(self._numbers), self._current, self._pending | self.dependents(changed)
            )
            self._open = generation
            try:
                for path in self._to_load(generation, changed):
                    self._load(generation, path)
            except BaseException:
                self._discard(generation)
                raise
            return generation

    def close(self) -> None:
        """Take all modules out of `sys.modules`.

        Code that still runs keeps what it imported.
        """
        with self._lock:
            self._closed = True
            self._open = None
            self._current.records = {}
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
            module = self._load(generation, key)
            generation.entries[key] = None
            return module

    def _commit(self, generation: Generation) -> None:
        with self._lock:
            if generation is not self._open:
                raise RuntimeError(f"generation {generation.number} is not open")
            old = self._current
            for path, record in old.records.items():
                # What the old generation imported late since `begin`.
                if path not in generation.dropped:
                    generation.records.setdefault(path, record)
            generation.entries.update(old.entries)
            self._current, self._open = generation, None
            old.records, generation.finished = {}, []
            # A shared module can have imported an old one late since `begin`: the next change renews it.
            records = generation.records
            self._pending = {
                path
                for path, record in records.items()
                if any(records.get(key) is not other for key, other in list(record.imports.items()))
            }
            self._sweep()

    def _discard(self, generation: Generation) -> None:
        with self._lock:
            if generation is self._open:
                self._open = None
                generation.records, generation.finished = {}, []
                self._sweep()

    def _exchanged(self, generation: Generation) -> list[tuple[ModuleType, ModuleType]]:
        with self._lock:
            return [
                (old.module, record.module)
                for record in generation.finished
                if generation.records.get(record.path) is record
                and (old := self._current.records.get(record.path)) is not None
            ]

    def _to_load(self, generation: Generation, changed: frozenset[Path]) -> list[Path]:
        """Return what a new generation starts with, in the order of the old one."""
        late = set()
        for path, record in list(self._current.records.items()):
            if path not in changed:
                late.update(list(record.wanted))
        return [
            path
            for path in self._current.records
            if path in generation.dropped and (path in generation.entries or path in late) and path.is_file()
        ]

    # How a module comes to be; all of these run with the lock held.

    def _load(self, generation: Generation, path: Path) -> ModuleType:
        try:
            with self._executing(generation):
                return self._obtain(generation, path).module
        except (Exception, SystemExit) as error:
            raise ModuleFailure(path, error, self.root, self._prefix) from error

    @contextmanager
    def _executing(self, generation: Generation) -> Iterator[None]:
        """Load into a generation; when the outermost load fails, undo all of it."""
        outermost = self._added is None
        if outermost:
            self._added = []
        # In this order: another thread that reads them must not take itself for the builder.
        self._builder = threading.get_ident()
        previous, self._building = self._building, generation
        try:
            yield
        except BaseException:
            if outermost:
                for each, record in self._added or ():
                    self._remove(each, record)
                self._sweep()
            raise
        finally:
            self._building = previous
            if outermost:
                self._added = None

    def _obtain(self, generation: Generation, path: Path) -> Record:
        """Return a module, loading it and before it the packages that it is in."""
        if path not in generation.records:
            for folder in reversed(path.relative_to(self.root).parents):
                init = self.root / folder / "__init__.py"
                if folder.parts and init != path and init.is_file():
                    self._obtain(generation, init)
        # A package may have imported it meanwhile.
        found = generation.records.get(path)
        return found if found is not None else self._execute(generation, path)

    def _execute(self, generation: Generation, path: Path) -> Record:
        # Before it is read: a change from here on shows.
        stamp = stamp_of(path)
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        record = self._new_record(generation, path)
        record.stamp = stamp
        assert self._added is not None
        self._added.append((generation, record))
        generation.records[path] = record
        self._register(record)
        linecache.cache.pop(str(path), None)
        spec = vars(record.module.__spec__)
        # Python reads it to say "partially initialized module" where a circular import fails.
        spec["_initializing"] = True
        try:
            exec(code, vars(record.module))
        except BaseException:
            self._remove(generation, record)
            self._sweep()
            raise
        finally:
            spec.pop("_initializing", None)
        record.ready = True
        if generation is self._open:
            generation.finished.append(record)
        self._failed.pop(path, None)
        return record

    def _new_record(self, generation: Generation, path: Path) -> Record:
        name = f"{self._prefix}{generation.number}.{module_name(path, self.root)}".removesuffix(".")
        while name in sys.modules and not _is_parent(sys.modules[name]):
            name += "_"
        record = Record(path, name)
        if record.is_package:
            record.module = self._importer.package(name, path.parent, record)
        loader = SourceLoader(name, path, record.module)
        spec = ModuleSpec(name, loader, origin=str(path), is_package=record.is_package)
        spec.has_location = True
        if record.is_package:
            spec.submodule_search_locations = [str(path.parent)]
        vars(record.module).update(
            __spec__=spec,
            __loader__=loader,
            __file__=str(path),
            __package__=name if record.is_package else name.rpartition(".")[0],
            __builtins__={**vars(builtins), "__import__": partial(self._importer.import_for, record)},
        )
        return record

    def _register(self, record: Record) -> None:
        """Put a module into `sys.modules`, and the packages that it is in.

        Python asks for the packages when it unpickles, importlib when it resolves a relative name.
        """
        sys.modules[record.name] = record.module
        name, folder = record.name, record.path.parent
        if record.is_package:
            folder = folder.parent
        while name := name.rpartition(".")[0]:
            if name not in sys.modules:
                module = self._importer.package(name, folder, None)
                spec = ModuleSpec(name, None, is_package=True)
                spec.submodule_search_locations = [str(folder)]
                vars(module).update(__spec__=spec, __package__=name)
                sys.modules[name] = module
            folder = folder.parent

    def _remove(self, generation: Generation, record: Record) -> None:
        self._failed[record.path] = record.wanted
        if generation.records.get(record.path) is record:
            del generation.records[record.path]

    def _sweep(self) -> None:
        """Leave modules of the current and the open generation in `sys.modules`."""
        generations = [each for each in (self._current, self._open) if each is not None]
        modules = {record.name: record for each in generations for record in each.records.values()}
        parents = {name[: dot.start()] for name in modules for dot in re.finditer(r"\.", name)}
        for name in [name for name in sys.modules if name.startswith(self._prefix)]:
            if name not in modules and (name not in parents or not _is_parent(sys.modules[name])):
                del sys.modules[name]
        for record in modules.values():
            self._register(record)
        self._importer.forget()

    # How one module sees the others.

    def _find(self, record: Record | None, path: Path) -> Record:
        """Return a module as another one (None: anyone) sees it, loading it if need be.

        What is loaded is had without the lock: an import of some seconds elsewhere stops nobody.
        """
        loaded = self._seen(record, path)
        if loaded is not None and loaded.ready:
            return loaded
        with self._lock:
            generation = self._generation_of(record)
            if generation is None:
                found = record.reach(path) if record is not None else None
                if found is not None:
                    return found
                generation = self._current
            if self._closed:
                raise ImportError(f"{path} cannot be imported: its application was closed")
            with self._executing(generation):
                return self._obtain(generation, path)

    def _seen(self, record: Record | None, path: Path) -> Record | None:
        """Return a module as another one sees it, if it is loaded."""
        generation = self._generation_of(record)
        if generation is not None:
            return generation.records.get(path)
        return record.reach(path) if record is not None else None

    def _generation_of(self, record: Record | None) -> Generation | None:
        """Return the generation that a module belongs to now; None when it was replaced."""
        building = self._building
        if building is not None and self._builder != threading.get_ident():
            building = None
        if record is None:
            return building or self._current
        for generation in (building, self._current, self._open):
            if generation is not None and generation.records.get(record.path) is record:
                return generation
        return None

    def _is_building(self) -> bool:
        """Whether this thread executes modules."""
        return self._building is not None and self._builder == threading.get_ident()

    def _key(self, path: Path) -> Path:
        """Return a path as the loader knows it: inside the resolved root."""
        path = Path(os.path.abspath(path))
        if path.is_relative_to(self.root):
            return path
        if path.is_relative_to(self._given):
            return self.root / path.relative_to(self._given)
        return path.resolve()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the loader is closed")


def _is_parent(module: ModuleType) -> bool:
    """Whether a module only stands for a folder, because `sys.modules` needs it."""
    spec = module.__spec__
    return isinstance(module, Package) and spec is not None and spec.loader is None
