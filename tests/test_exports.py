"""What the package shows: every public name exists, is listed, and says what it is."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import longwave

PACKAGE = Path(__file__).resolve().parents[1] / "longwave"
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "templates" not in path.parts and path.name not in ("__init__.py", "__main__.py")
]


def test_top_level_names_exist_and_are_few() -> None:
    assert [name for name in longwave.__all__ if not hasattr(longwave, name)] == []
    assert len(longwave.__all__) == len(set(longwave.__all__))
    assert len(longwave.__all__) <= 32


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_lists_its_public_names(path: Path) -> None:
    name = ".".join(("longwave", *path.relative_to(PACKAGE).with_suffix("").parts))
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    public = list(getattr(module, "__all__", ()))
    assert public, f"{name} has no __all__"
    assert [item for item in public if not hasattr(module, item)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_public_names_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    wrong: list[str] = []
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_":
            wrong += undocumented(node, node.name)
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and inner.name[0] != "_":
                        wrong += undocumented(inner, f"{node.name}.{inner.name}")
    assert wrong == []


def test_import_loads_no_tools() -> None:
    code = (
        "import sys, longwave\n"
        "tools = {'click', 'rich', 'watchfiles', 'uvloop', 'httptools', 'longwave.cli', 'longwave.dev',"
        " 'longwave.server', 'longwave.testing', 'redis', 'nats', 'asyncpg', 'pydantic'}\n"
        "print(sorted(tools & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def undocumented(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> list[str]:
    if any(
        (isinstance(decorator, ast.Name) and decorator.id == "overload")
        or (isinstance(decorator, ast.Attribute) and decorator.attr in ("overload", "setter"))
        for decorator in getattr(node, "decorator_list", ())
    ):
        return []
    docstring = ast.get_docstring(node)
    if not docstring:
        return [f"{name} has no docstring"]
    first = docstring.splitlines()[0]
    return [f"{name}: first line of {len(first)} characters"] if len(first) > 80 else []
