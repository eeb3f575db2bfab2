"""What a person is told about an error of the project's code."""

from __future__ import annotations

from pathlib import Path

from longwave.dev.failures import Failure, describe_failure
from longwave.errors import ConfigError


def run_file(path: Path, source: str) -> BaseException:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    try:
        exec(compile(source, str(path), "exec"), {})
    except BaseException as error:
        return error
    raise AssertionError("the source raised nothing")


def test_a_syntax_error_has_file_line_and_code(tmp_path: Path) -> None:
    error = run_file(tmp_path / "src" / "a.py", "x = 1\ny = = 2\n")
    assert describe_failure(error, tmp_path) == Failure(
        "SyntaxError: invalid syntax", "src/a.py", 2, "y = = 2"
    )


def test_an_error_has_the_last_line_inside_the_project(tmp_path: Path) -> None:
    error = run_file(tmp_path / "a.py", "import json\ndef f():\n    json.loads('{')\nf()\n")
    failure = describe_failure(error, tmp_path)
    assert (failure.file, failure.line, failure.code) == ("a.py", 3, "json.loads('{')")
    assert failure.text.startswith("JSONDecodeError: ")


def test_what_is_installed_inside_the_project_is_not_its_code(tmp_path: Path) -> None:
    installed = tmp_path / ".venv" / "site-packages" / "lib.py"
    assert describe_failure(run_file(installed, "1 / 0"), tmp_path).file is None


def test_the_sentence_of_our_error_and_the_place_of_its_cause(tmp_path: Path) -> None:
    cause = run_file(tmp_path / "plugin.py", "\nraise LookupError('no vault')")
    error = ConfigError("the plugin could not start")
    error.__cause__ = cause
    failure = describe_failure(error, tmp_path)
    assert failure.text == "the plugin could not start"
    assert (
        str(failure) == "the plugin could not start\n  plugin.py, line 2\n    raise LookupError('no vault')"
    )


def test_the_way_to_an_error_in_the_project(tmp_path: Path) -> None:
    error = run_file(tmp_path / "a.py", "import json\ndef f():\n    json.loads('{')\nf()\n")
    assert describe_failure(error, tmp_path).stack == ("a.py:3 in f", "a.py:4 in <module>")
    outer = run_file(tmp_path / "b.py", "def load(cause): raise ImportError\n\nload(0)\n")
    outer.__cause__ = error
    assert describe_failure(outer, tmp_path).stack == (
        "a.py:3 in f",
        "a.py:4 in <module>",
        "b.py:1 in load",
        "b.py:3 in <module>",
    )
    endless = run_file(tmp_path / "c.py", "def f(): f()\nf()\n")
    assert describe_failure(endless, tmp_path).stack == ("c.py:1 in f",) * 20


def test_an_error_from_elsewhere_is_a_sentence_alone(tmp_path: Path) -> None:
    assert str(describe_failure(OSError(28, "No space left on device"), tmp_path)) == (
        "OSError: [Errno 28] No space left on device"
    )
    assert describe_failure(MemoryError(), tmp_path).text == "MemoryError"


def test_a_file_that_is_gone_has_no_code(tmp_path: Path) -> None:
    error = run_file(tmp_path / "a.py", "1 / 0")
    (tmp_path / "a.py").unlink()
    assert describe_failure(error, tmp_path).code is None
