"""The size rule: no file over 500 lines, no function over 60."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "longwave"
MAX_FILE = 500
MAX_FUNCTION = 60
EXEMPT: set[str] = set()
"""Hot loops, each named with its number in bench/log.md."""


def test_no_file_is_too_long() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path): size for path, size in sizes.items() if size > MAX_FILE} == {}


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
