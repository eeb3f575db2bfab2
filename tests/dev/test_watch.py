"""Which changes count, and that they are noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from longwave.dev.watch import Watcher, is_page_file, is_watched

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("path", "watched"),
    [
        ("src/server/routes/api/[id].py", True),
        ("longwave.config.py", True),
        ("pyproject.toml", True),
        (".env", True),
        (".env.development.local", True),
        ("src/.env", False),
        (".environment", False),
        ("index.html", True),
        ("public/app.js", True),
        ("public/app.py", True),
        ("public/build/node_modules/a", True),
        ("public/.hidden.css", False),
        ("public/.git/a.css", False),
        ("public/.env", False),
        ("public/a.css~", False),
        ("public/a.css.swp", False),
        ("public/a.css.tmp", False),
        ("public/#a.css#", False),
        ("public/a.css___jb_tmp___", False),
        ("src/index.html", False),
        ("src/public/app.js", False),
        ("index.html~", False),
        ("src/.#a.py", False),
        ("src/a.pyc", False),
        ("src/a.py~", False),
        (".git/hooks/a.py", False),
        (".venv/lib/a.py", False),
        ("node_modules/x/a.py", False),
        ("web/node_modules/x/a.py", False),
        ("src/__pycache__/a.py", False),
        ("dist/a.py", False),
        ("../elsewhere/a.py", False),
    ],
)
def test_what_counts(path: str, watched: bool) -> None:
    normal = Path("/elsewhere/a.py") if path.startswith("..") else ROOT / path
    assert is_watched(normal, ROOT) is watched


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        ("index.html", True),
        ("public/a.css", True),
        ("public/deep/er/app.py", True),
        ("public/pyproject.toml", True),
        ("public", False),
        ("index.htm", False),
        ("pyproject.toml", False),
        ("src/public/a.css", False),
        ("../public/a.css", False),
    ],
)
def test_what_pages_are_made_of(path: str, is_page: bool) -> None:
    normal = Path("/public/a.css") if path.startswith("..") else ROOT / path
    assert is_page_file(normal, ROOT) is is_page


def test_a_file_elsewhere_that_was_named() -> None:
    assert is_watched(Path("/etc/longwave.py"), ROOT, {Path("/etc/longwave.py")})


class Changes:
    """The bursts that a watcher told; `one` waits for a file."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[frozenset[Path]] = asyncio.Queue()

    async def until(self, path: Path) -> set[Path]:
        """Return everything that was told up to the burst with this file."""
        seen: set[Path] = set()
        async with asyncio.timeout(10):
            while path not in seen:
                seen |= await self.queue.get()
        return seen


@asynccontextmanager
async def watching(root: Path, *extra: Path) -> AsyncIterator[Changes]:
    changes = Changes()
    watcher = Watcher(root, changes.queue.put_nowait, extra=extra)
    task = asyncio.create_task(watcher.run())
    async with asyncio.timeout(10):
        await watcher.begun.wait()
    yield changes
    task.cancel()
    await asyncio.wait([task])


def test_changes_are_told_once_in_bursts(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()

    async def scenario() -> None:
        async with watching(tmp_path) as changes:
            (tmp_path / "src" / "page.html").write_text("")
            (tmp_path / "src" / "a.py").write_text("1")
            seen = await changes.until(tmp_path / "src" / "a.py")
            assert tmp_path / "src" / "page.html" not in seen
            (tmp_path / "src" / "a.py").unlink()
            assert tmp_path / "src" / "a.py" in await changes.until(tmp_path / "src" / "a.py")
            (tmp_path / ".env").write_text("A=1")
            await changes.until(tmp_path / ".env")

    asyncio.run(scenario())


def test_a_file_that_was_there_for_a_moment_is_none(tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()

    async def scenario() -> None:
        async with watching(tmp_path) as changes:
            (public / "4913").write_text("")
            (public / "4913").unlink()
            (public / "sedAbCdE").write_text("a {}")
            (public / "sedAbCdE").rename(public / "a.css")
            (public / "images").mkdir()
            seen = await changes.until(public / "a.css")
            (public / "images" / "b.png").write_text("")
            seen |= await changes.until(public / "images" / "b.png")
            assert seen == {public / "a.css", public / "images" / "b.png"}
            (public / "a.css").unlink()
            assert await changes.until(public / "a.css") == {public / "a.css"}

    asyncio.run(scenario())


def test_a_folder_that_comes_later_is_watched(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watching(tmp_path) as changes:
            new = tmp_path / "src" / "server"
            new.mkdir(parents=True)
            (new / "a.py").write_text("1")
            await changes.until(new / "a.py")
            (new / "b.py").write_text("1")
            await changes.until(new / "b.py")

    asyncio.run(scenario())


def test_a_folder_that_is_moved_away_is_told(tmp_path: Path) -> None:
    folder, away = tmp_path / "root" / "src" / "util", tmp_path / "away"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("1")

    async def scenario() -> None:
        async with watching(tmp_path / "root") as changes:
            folder.rename(away)
            assert folder in await changes.until(folder)
            (tmp_path / "root" / "src" / "__pycache__").mkdir()
            (tmp_path / "root" / "src" / "__pycache__").rmdir()
            (tmp_path / "root" / "src" / "b.py").write_text("1")
            seen = await changes.until(tmp_path / "root" / "src" / "b.py")
            assert seen == {tmp_path / "root" / "src" / "b.py"}

    asyncio.run(scenario())


def test_an_ignored_folder_is_not_watched(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()

    async def scenario() -> None:
        async with watching(tmp_path) as changes:
            (tmp_path / ".venv" / "a.py").write_text("1")
            (tmp_path / "b.py").write_text("1")
            assert tmp_path / ".venv" / "a.py" not in await changes.until(tmp_path / "b.py")

    asyncio.run(scenario())


def test_a_file_elsewhere_is_watched(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other" / "config.py"
    root.mkdir()
    other.parent.mkdir()
    other.write_text("")

    async def scenario() -> None:
        async with watching(root, other) as changes:
            other.write_text("1")
            await changes.until(other)

    asyncio.run(scenario())
