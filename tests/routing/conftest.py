"""Projects to load modules from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.routing.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    made.loader.close()
    assert made.registered() == set()


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on `sys.path` with packages of its own, `src` among them."""
    folder = tmp_path / "site"
    for name, text in {
        "src/__init__.py": "WHO = 'foreign'\n",
        "src/server/__init__.py": "",
        "src/server/util/__init__.py": "",
        "src/server/util/words.py": "WHO = 'foreign'\n",
        "src/server/only.py": "WHO = 'foreign'\n",
        "installed/__init__.py": "WHO = 'foreign'\n",
        "installed/part.py": "WHO = 'foreign'\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("src", "installed"):
            del sys.modules[name]


@pytest.fixture
def guest(foreign: Path, tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project")
    yield made
    made.loader.close()
