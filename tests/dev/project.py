"""A project that runs in process and whose files are edited, as the tests of swaps use it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from longwave.assemble import App, create_app
from longwave.config import load_settings
from longwave.dev.feed import Failed, Feed, News, Restart, Swapped
from longwave.dev.swap import Swapper
from longwave.testing import TestClient

__all__ = ["Running", "running", "write"]

ROUTES = "src/server/routes/"


def write(root: Path, files: dict[str, str | None]) -> list[Path]:
    """Write files, or remove those that are None; return their paths."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    return [root / name for name in files]


class Running:
    """An app in dev, a client, and the news of its code."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.app: App = create_app(root, settings=load_settings(root, command="dev", environ={}))
        self.client = TestClient(self.app)
        self.feed = Feed()
        self.swapper = Swapper(self.app, self.feed)
        self.news: asyncio.Queue[News] = asyncio.Queue()
        self.feed.subscribe(self.news.put_nowait)

    def change(self, files: dict[str, str | None]) -> None:
        """Edit files, and do not wait for what comes of it."""
        self.swapper.change(write(self.root, files))

    async def next(self) -> News:
        """Return the next news."""
        async with asyncio.timeout(10):
            return await self.news.get()

    async def edit(self, files: dict[str, str | None]) -> Swapped:
        """Edit files and wait until they are served."""
        self.change(files)
        news = await self.next()
        assert isinstance(news, Swapped), news
        return news

    async def fails(self, files: dict[str, str | None]) -> Failed:
        """Edit files so that they cannot be loaded."""
        self.change(files)
        news = await self.next()
        assert isinstance(news, Failed), news
        return news

    async def restarts(self, files: dict[str, str | None]) -> Restart:
        """Edit files so that a new process is needed."""
        self.change(files)
        news = await self.next()
        assert isinstance(news, Restart), news
        return news

    async def quiet(self, files: dict[str, str | None]) -> None:
        """Edit files that nothing is made of."""
        self.change(files)
        while self.swapper.is_busy:
            await asyncio.sleep(0.001)
        assert self.news.empty()

    def module(self, name: str) -> Any:
        """Return the module of a file as it is served now."""
        assert self.app.project is not None
        module = self.app.project.loader.loaded(self.root / name)
        assert module is not None, name
        return module

    def watch(self, *names: str) -> list[weakref.ref[Any]]:
        """Return weak references to modules as they are served now, and to what is defined in them.

        A function or a class keeps the names of its module alive, and not the module.
        """
        refs: list[weakref.ref[Any]] = []
        for name in names:
            module = self.module(name)
            own = [value for value in vars(module).values() if _is_defined_in(module, value)]
            refs += map(weakref.ref, [module, *own])
        return refs

    async def collected(self, *refs: weakref.ref[Any]) -> None:
        """Check that all of it is gone, once what runs has ended."""
        for _ in range(5):
            await asyncio.sleep(0)
        self.swapper.collect()
        gc.collect()
        left = [ref() for ref in refs if ref() is not None]
        assert left == [], [gc.get_referrers(each) for each in left]


def _is_defined_in(module: ModuleType, value: Any) -> bool:
    return isinstance(value, (FunctionType, type)) and value.__module__ == module.__name__


@asynccontextmanager
async def running(root: Path, files: dict[str, str | None]) -> AsyncIterator[Running]:
    """Serve a project in process; nothing may be left of it."""
    write(root, files)
    run = Running(root)
    try:
        async with run.client:
            yield run
    finally:
        run.swapper.close()
        assert run.app.project is not None
        run.app.project.loader.close()
