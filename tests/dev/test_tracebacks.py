"""An error as it is shown in the terminal: the project's frames, the innermost first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longwave.dev import tracebacks
from longwave.dev.tracebacks import describe_traceback


def shown(
    root: Path, source: str, name: str = "a.py", call: Callable[[Any], None] | None = None
) -> list[str]:
    """Return the lines of what a file of a project raises."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    names: dict[str, Any] = {"json": json, "asyncio": asyncio}
    try:
        exec(compile(source, str(path), "exec"), names)
    except BaseException as error:
        # Without the frame of this file.
        lines = describe_traceback(
            error.with_traceback(error.__traceback__ and error.__traceback__.tb_next), root
        )
        return [" " * line.indent + line.text for line in lines]
    raise AssertionError("the source raises nothing")


def test_the_innermost_line_of_the_project_comes_first_and_the_others_are_counted(tmp_path: Path) -> None:
    assert shown(tmp_path, "def read():\n    json.loads('{')\n\nread()\n") == [
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
        "  a.py:2 in read",
        "    json.loads('{')",
        "  a.py:4 in <module>",
        "    read()",
        "  (3 frames of Python hidden; --log-level debug shows all)",
    ]


def test_frames_are_counted_by_what_they_are_of(tmp_path: Path) -> None:
    installed = tmp_path / ".venv" / "lib" / "site-packages" / "words" / "inner.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("def call(function):\n    function()\n")
    source = (
        "from longwave.app.calls import watched\nnames = {}\n"
        f"exec(compile({installed.read_text()!r}, {str(installed)!r}, 'exec'), names)\n"
        "def boom():\n    raise ValueError\n"
        "watched(lambda: names['call'](boom), '', '')()\n"
    )
    assert shown(tmp_path, source) == [
        "ValueError",
        "  a.py:5 in boom",
        "    raise ValueError",
        "  a.py:6 in <lambda>",
        "    watched(lambda: names['call'](boom), '', '')()",
        "  a.py:6 in <module>",
        "    watched(lambda: names['call'](boom), '', '')()",
        "  (1 frame of longwave, 1 of words hidden; --log-level debug shows all)",
    ]


def test_an_error_that_is_not_the_projects_has_all_frames(tmp_path: Path) -> None:
    try:
        json.loads("{")
    except ValueError as error:
        lines = [line.text for line in describe_traceback(error, tmp_path)]
    assert any("decoder.py:" in line for line in lines)
    assert "hidden" not in "".join(lines)


def test_a_cause_and_what_was_being_handled(tmp_path: Path) -> None:
    source = """
def inner():
    try:
        {}["k"]
    except KeyError:
        raise ValueError("second")
try:
    inner()
except ValueError as error:
    raise RuntimeError("third") from error
"""
    lines = shown(tmp_path, source)
    assert [line for line in lines if line[0] != " "] == [
        "RuntimeError: third",
        "caused by ValueError: second",
        "while handling KeyError: 'k'",
    ]
    assert shown(tmp_path, source.replace("from error", "from None"))[0] == "RuntimeError: third"
    assert "caused by" not in "".join(shown(tmp_path, source.replace("from error", "from None")))


def test_a_long_chain_ends(tmp_path: Path) -> None:
    source = """
error = None
for number in range(9):
    try:
        raise ValueError(number) from error
    except ValueError as caught:
        error = caught
raise error
"""
    lines = [line for line in shown(tmp_path, source) if line[0] != " "]
    assert lines[:2] == ["ValueError: 8", "caused by ValueError: 7"]
    assert lines[4:] == ["caused by ValueError: 4", "(and more before it)"]


def test_a_group_shows_what_it_holds(tmp_path: Path) -> None:
    source = """
def fail(number):
    raise ValueError(number)
errors = []
for number in range(7):
    try:
        fail(number)
    except ValueError as error:
        errors.append(error)
raise ExceptionGroup("all of it", errors)
"""
    lines = shown(tmp_path, source)
    assert lines[:6] == [
        "ExceptionGroup: all of it (7 sub-exceptions)",
        "  a.py:10 in <module>",
        '    raise ExceptionGroup("all of it", errors)',
        "  ValueError: 0",
        "    a.py:3 in fail",
        "      raise ValueError(number)",
    ]
    assert "  ValueError: 4" in lines
    assert "  ValueError: 5" not in lines
    assert lines[-1] == "  (and 2 more in the group)"


def test_a_syntax_error_has_its_place_and_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    lines = shown(tmp_path, f"compile('def f():\\n    y = = 2\\n', {str(path)!r}, 'exec')")
    assert lines[:4] == ["SyntaxError: invalid syntax", "  late.py:2", "    y = = 2", "        ^"]
    assert lines[4] == "  a.py:1 in <module>"


def test_notes_and_texts_of_several_lines(tmp_path: Path) -> None:
    source = "error = ValueError('one\\ntwo')\nerror.add_note('a note')\nraise error\n"
    assert shown(tmp_path, source)[:3] == ["ValueError: one", "  two", "  a note"]


def test_a_recursion_is_cut(tmp_path: Path) -> None:
    lines = shown(tmp_path, "def f():\n    f()\nf()\n")
    assert lines[0].startswith("RecursionError: ")
    assert len(lines) == 2 + 2 * tracebacks.MOST_FRAMES
    assert "frames of the project hidden" in lines[-1]


def test_an_error_whose_text_cannot_be_had(tmp_path: Path) -> None:
    source = "class Odd(Exception):\n    def __str__(self):\n        raise TypeError\nraise Odd\n"
    assert shown(tmp_path, source)[0].endswith("Odd: <exception str() failed>")


def test_an_error_without_a_traceback(tmp_path: Path) -> None:
    assert [line.text for line in describe_traceback(MemoryError(), tmp_path)] == ["MemoryError"]


def test_the_number_of_a_generation_is_no_part_of_a_name(tmp_path: Path) -> None:
    source = (
        "__name__ = 'lw_chat_ab12_7.src.words'\nclass Unknown(Exception):\n    pass\nraise Unknown('x')\n"
    )
    assert shown(tmp_path, source)[0] == "src.words.Unknown: x"


@pytest.mark.parametrize("where", ["link", "real"])
def test_a_project_behind_a_link(tmp_path: Path, where: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    source = "raise ValueError"
    path = tmp_path / "real" / "a.py"
    path.write_text(source)
    try:
        exec(compile(source, str(path), "exec"), {})
    except ValueError as error:
        lines = describe_traceback(error, tmp_path / where)
    assert lines[1].text == "a.py:1 in <module>"
