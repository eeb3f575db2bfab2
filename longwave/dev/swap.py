"""Exchanges the code of a running app for what its files say now, under open connections."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import sys
import threading
import time
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from longwave.app.route import Route
from longwave.assemble import App, Code, Project
from longwave.dev.failures import describe_failure
from longwave.dev.feed import Failed, Feed, News, Restart, Swapped, file_names
from longwave.errors import DefinitionError
from longwave.routing.imports import SourceLoader
from longwave.routing.modules import Generation, Loader

__all__ = ["Swapper"]

STUCK = 10.0
"""Seconds of loading after which a change does not wait for its end: a loop in a module never ends."""
BUSY = 0.005
"""Seconds until the exchange is tried again, because a hook in a thread imports something."""
PATIENCE = 0.05
"""Seconds that a file which cannot be loaded, or is empty, has to be saved in whole."""
COLLECT = 1.0
"""Seconds of quiet after which what was exchanged is collected."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Code that was built and is not served yet."""

    generation: Generation
    code: Code


class Swapper:
    """Swaps what changed, one exchange after the other; tells a feed.

    Modules are loaded in a thread, so that open connections go on meanwhile; the exchange itself is one step
    of the loop. All methods are called there.
    """

    def __init__(self, app: App, feed: Feed) -> None:
        assert app.project is not None
        self._app = app
        self._project: Project = app.project
        self._feed = feed
        self._waiting: set[Path] = set()
        self._files: frozenset[Path] = frozenset()
        self._began: float | None = None
        self._failing: asyncio.TimerHandle | None = None
        self._collecting: asyncio.TimerHandle | None = None

    def change(self, files: Iterable[Path]) -> None:
        """Take note of files that changed, came or went.

        What is waiting is swapped as one.
        """
        self._waiting.update(files)
        _cancel(self._failing)
        if self._began is None:
            self._begin()
        elif time.perf_counter() - self._began > STUCK:
            names = self._names(self._waiting)
            self._feed.tell(Restart(names, f"{', '.join(self._names(self._files))} is still loading"))

    @property
    def is_busy(self) -> bool:
        """Whether something that changed is not served yet."""
        return self._began is not None

    def collect(self) -> None:
        """Collect what was exchanged.

        Old modules hold themselves in circles, and may hold much else.
        """
        # The caches of `typing` hold classes, the table of loggers those of each `getLogger(__name__)`.
        for clean in getattr(typing, "_cleanups", ()):
            clean()
        loggers = logging.root.manager.loggerDict
        for name in [name for name in loggers if self._project.loader.is_stale(name)]:
            del loggers[name]
        gc.collect()

    def close(self) -> None:
        """Forget what is to be done later."""
        _cancel(self._failing)
        _cancel(self._collecting)

    def _begin(self) -> None:
        self._files, self._waiting = frozenset(self._waiting), set()
        self._began = time.perf_counter()
        loop = asyncio.get_running_loop()

        def build() -> None:
            outcome = self._build(self._files)
            try:
                loop.call_soon_threadsafe(self._built, outcome)
            except RuntimeError:
                return  # the loop is closed

        # No pool: the process must be able to end while a module loads for ever.
        threading.Thread(target=build, name="longwave-swap", daemon=True).start()

    def _build(self, files: frozenset[Path]) -> Plan | News:
        """Load what is to be served next; in a thread."""
        project, loader = self._project, self._project.loader
        generation: Generation | None = None
        try:
            # Whoever moves a folder away is told of the folder alone.
            changed = files.union(path for path in loader.module_paths() if not path.is_file())
            why = _restart_reason(project, changed)
            if why is not None:
                return Restart(self._names(files), why)
            if loader.emptied(changed):
                time.sleep(PATIENCE)
            generation = loader.begin(changed)
            code = project.read(generation.load)
            _load_stateful(loader, generation)
        except BaseException as error:
            if generation is not None:
                generation.discard()
            return Failed(self._names(files), describe_failure(error, self._app.settings.root))
        if _mounts(project.code) != _mounts(code):
            generation.discard()
            return Restart(self._names(files), "a mounted application changed")
        return Plan(generation, code)

    def _built(self, outcome: Plan | News) -> None:
        news: News | None
        if isinstance(outcome, Plan):
            with self._project.loader.held() as held:
                if not held:
                    asyncio.get_running_loop().call_later(BUSY, self._built, outcome)
                    return
                if outcome.generation.is_outdated():
                    # It may have been read half saved, and still be code.
                    outcome.generation.discard()
                    self._waiting |= self._files
                    news = None
                else:
                    news = self._exchange(outcome)
        else:
            news = outcome
        self._began = None
        if isinstance(news, Failed):
            # That of a file which was read half saved is nothing to tell of: the rest is on its way.
            self._failing = asyncio.get_running_loop().call_later(PATIENCE, self._feed.tell, news)
        elif news is not None:
            self._feed.tell(news)
        if self._waiting:
            _cancel(self._failing)
            self._begin()

    def _exchange(self, plan: Plan) -> News | None:
        """Serve what was built; returns None when nothing of it is new."""
        generation, before = plan.generation, self._project.code
        modules = len(generation.built())
        names = self._names(self._files)
        try:
            for old, new in generation.exchanged():
                _hand_over(old, new)
            exchange = self._app.offer(plan.code)
        except BaseException as error:
            generation.discard()
            return Failed(names, describe_failure(error, self._app.settings.root))
        generation.commit()
        self._collect_later()
        fresh = [key for key, made in plan.code.made.items() if before.made.get(key) != made]
        problems = tuple(describe_failure(p.error, self._app.settings.root) for p in plan.code.problems)
        patterns, standing = _patterns(plan.code), _patterns(before)
        if not (modules or fresh or patterns != standing or self._feed.failure):
            if problems == self._feed.problems and before.made.keys() == plan.code.made.keys():
                return None
        assert self._began is not None
        return Swapped(
            names,
            time.perf_counter() - self._began,
            modules,
            routes=tuple(sorted({key.pattern for key in fresh if not isinstance(key, Path)} & standing)),
            added=tuple(sorted(patterns - standing)),
            removed=tuple(sorted(standing - patterns)),
            is_middleware=plan.code.middleware != before.middleware,
            kept=exchange.kept,
            closed=exchange.closed,
            ended=exchange.ended,
            problems=problems,
            mended=self._feed.failure is not None,
        )

    def _collect_later(self) -> None:
        _cancel(self._collecting)
        self._collecting = asyncio.get_running_loop().call_later(COLLECT, self.collect)

    def _names(self, files: Iterable[Path]) -> tuple[str, ...]:
        return file_names(files, self._project.loader.root)


def _restart_reason(project: Project, changed: frozenset[Path]) -> str | None:
    """Return why a change cannot be swapped, if it cannot."""
    plugins = set(project.plugins)
    if plugins != {path for _, path in project.plugin_files()}:
        return "a plugin came or went"
    reached = plugins & (changed | project.loader.dependents(changed))
    if reached:
        return f"{min(path.name for path in reached)} is a plugin, which runs once"
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        own = isinstance(getattr(module, "__loader__", None), SourceLoader)
        if file is not None and not own and Path(file) in changed:
            return f"{name} was imported by Python itself"
    return None


def _load_stateful(loader: Loader, generation: Generation) -> None:
    """Load what takes its state over even when it is imported late only: at its first use the old is gone."""
    for path in generation.dropped:
        old = loader.loaded(path)
        if old is not None and "on_reload" in vars(old) and path.is_file():
            generation.load(path)


def _hand_over(old: ModuleType, new: ModuleType) -> None:
    hook = vars(new).get("on_reload")
    # A star import brings that of another module.
    if hook is None or getattr(hook, "__module__", None) != new.__name__:
        return
    result = hook(old)
    if inspect.iscoroutine(result):
        result.close()
        raise DefinitionError("on_reload is to be a plain function: nothing may happen between old and new")


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _mounts(code: Code) -> set[Route]:
    return {route for route in code.routes if route.mount is not None}


def _patterns(code: Code) -> set[str]:
    return {route.pattern for route in code.routes}
