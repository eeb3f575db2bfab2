"""What `longwave start` has loaded at its first answer; `tests/test_imports.py` has the list."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

from tests.e2e.process import ServerProcess
from tests.test_imports import BASE, NEVER, modules, ours

ROUTE = """\
import sys


def get(event):
    return " ".join(sys.modules)
"""


def test_the_first_answer_needs_no_more_than_it_must(tmp_path: Path) -> None:
    routes = tmp_path / "src" / "server" / "routes"
    routes.mkdir(parents=True)
    (routes / "index.get.py").write_text(ROUTE)
    with ServerProcess(tmp_path) as server, urlopen(server.url) as answer:
        loaded = {name for name in answer.read().decode().split() if not name.startswith("lw_")}
    # The installation loads some too, such as the finder of an editable one.
    others = modules(f"import site; site.main(); {BASE}")
    assert loaded & (NEVER - others) == set()
    assert len(ours(loaded)) <= 95
    assert len(loaded - ours(loaded) - others) <= 20
