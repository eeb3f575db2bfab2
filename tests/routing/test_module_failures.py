"""Modules that fail: what is told of it, and what is left."""

from __future__ import annotations

import pytest

from longwave.errors import RouteError
from longwave.routing.modules import ModuleFailure
from tests.routing.project import CHAT, WORDS, Project


def test_a_failure_names_file_line_and_source(project: Project) -> None:
    project.write(WORDS, "def f():\n    raise KeyError('x')\n\nf()\n")
    project.write(CHAT, "\nfrom src.server.util import words\n")
    with pytest.raises(ModuleFailure) as caught:
        project.load(CHAT)
    failure = caught.value
    assert isinstance(failure, RouteError)
    assert (failure.path, failure.lineno, failure.line) == (project.root / WORDS, 2, "raise KeyError('x')")
    assert isinstance(failure.exception, KeyError)
    assert failure.__cause__ is failure.exception
    assert str(failure) == (
        "src/server/util/words.py, line 2 (imported for src/server/routes/chat.py): KeyError: 'x'\n"
        "    raise KeyError('x')"
    )


def test_a_failure_inside_a_library_names_the_projects_line(project: Project) -> None:
    project.write(CHAT, "import json\n\njson.loads('{')\n")
    with pytest.raises(ModuleFailure) as caught:
        project.load(CHAT)
    assert (caught.value.path, caught.value.lineno) == (project.root / CHAT, 3)


def test_a_failure_inside_executed_text_names_the_projects_line(project: Project) -> None:
    project.write(CHAT, "\n\nexec('1 / 0')\n")
    with pytest.raises(ModuleFailure) as caught:
        project.load(CHAT)
    assert (caught.value.path, caught.value.lineno) == (project.root / CHAT, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"x = '\xff'\n", "SyntaxError"),
        (b"x = 1\n  y = 2\n", "IndentationError: unexpected indent"),
        (b"import sys\nsys.exit(3)\n", "SystemExit: 3"),
        (b"raise RuntimeError\n", "RuntimeError: no message"),
        (b"\0", "null bytes"),
    ],
)
def test_whatever_fails_is_a_module_failure(project: Project, text: bytes, says: str) -> None:
    project.write(CHAT, "").write_bytes(text)
    with pytest.raises(ModuleFailure, match=says) as caught:
        project.load(CHAT)
    assert caught.value.path == project.root / CHAT
    assert project.registered() == set()


def test_an_interrupt_passes_and_leaves_nothing(project: Project) -> None:
    project.write(CHAT, "import src.server\nraise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        project.load(CHAT)
    assert project.registered() == set()
    assert project.loader.module_paths() == set()
