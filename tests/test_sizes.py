"""The size rule: no file over 500 lines, tests too; in the package no function over 60."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.with_name("longwave")
MAX_FILE = 500
MAX_FUNCTION = 60
EXEMPT: set[str] = set()
"""Hot loops, each named with its number in bench/log.md."""
LONG_TESTS = {"dev/test_swap.py", "e2e/test_dev_swap.py"}
"""Test files that are; no more are to come."""


def too_long(folder: Path) -> set[str]:
    """Return the files of a folder that are."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if len(path.read_text().splitlines()) > MAX_FILE
    }


def test_no_file_is_too_long() -> None:
    assert too_long(PACKAGE) == set()


def test_no_test_file_is_too_long() -> None:
    assert too_long(TESTS) == LONG_TESTS


def test_no_function_is_too_long() -> None:
    long: dict[str, int] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                name = f"{path.relative_to(PACKAGE)}:{node.name}"
                if length > MAX_FUNCTION and name not in EXEMPT:
                    long[name] = length
    assert long == {}
