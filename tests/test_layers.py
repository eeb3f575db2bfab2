"""The import rule: which room may import which. Late imports and those for the type checker count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "longwave"

LEAVES = {"errors", "types", "limits"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "types": set(),
    "limits": set(),
    "contract": LEAVES,
    "core": LEAVES,
    "hub": LEAVES,
    "backplane": LEAVES | {"hub"},
    "routing": LEAVES,
    "config": LEAVES,
    "app": LEAVES | {"contract", "core", "hub", "routing"},
    "web": LEAVES | {"contract", "core", "app"},
    "server": LEAVES | {"contract", "core"},
    "asgi": LEAVES | {"contract", "core"},
    "assemble": LEAVES
    | {"backplane", "contract", "core", "hub", "routing", "config", "app", "web", "asgi", "inspector"},
    "inspector": LEAVES | {"contract", "core", "hub", "routing", "app"},
    "dev": LEAVES | {"contract", "routing", "config", "app", "web", "server", "assemble", "inspector"},
    "testing": LEAVES
    | {"contract", "core", "hub", "app", "asgi", "config", "assemble", "server", "backplane"},
    "cli": LEAVES
    | {
        "backplane",
        "contract",
        "core",
        "routing",
        "config",
        "app",
        "web",
        "server",
        "asgi",
        "assemble",
        "dev",
        "inspector",
        "longwave",
    },
    "longwave": LEAVES | {"app", "assemble", "config", "web", "hub"},
}
PURE = {"core", "contract", "errors", "types", "limits"}
PURE_FILES = {"hub/hub.py", "hub/outgoing.py", "hub/drivers.py", "routing/table.py"}
IMPURE = {"asyncio", "socket", "ssl", "select", "threading", "time", "os", "subprocess", "logging"}
READS_ENVIRONMENT = {"config", "cli", "dev"}


def test_every_file_belongs_to_a_room() -> None:
    assert {room_of(path) for path in files()} <= set(ROOMS)


def test_rooms_hold_no_folders() -> None:
    inner = [
        path
        for room in PACKAGE.iterdir()
        if room.is_dir()
        for path in room.iterdir()
        if path.is_dir() and path.name not in ("__pycache__", "templates")
    ]
    assert inner == []


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_room_imports_only_what_it_may(room: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} {room} -> {other}"
        for path in files()
        if room_of(path) == room
        for line, name in imports(path)
        if (other := imported_room(name)) is not None and other != room and other not in ROOMS[room]
    ]
    assert wrong == []


def test_pure_rooms_touch_no_machine() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} {name}"
        for path in files()
        if room_of(path) in PURE or path.relative_to(PACKAGE).as_posix() in PURE_FILES
        for line, name in imports(path)
        if name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_only_config_and_cli_read_the_environment() -> None:
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in files()
        if room_of(path) not in READS_ENVIRONMENT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert wrong == []


def test_the_rule_finds_a_violation(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def late():\n    from longwave.server.worker import Server\n")
    assert [imported_room(name) for _, name in imports(planted)] == ["server"]


def files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "templates" not in path.parts]


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    if parts == ("__init__.py",):
        return "longwave"
    return parts[0].removesuffix(".py")


def imported_room(name: str) -> str | None:
    first, _, rest = name.partition(".")
    if first != "longwave":
        return None
    return rest.partition(".")[0] or "longwave"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports"
            module = node.module or ""
            if module == "longwave":
                for alias in node.names:
                    inner = PACKAGE / alias.name
                    is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                    yield node.lineno, f"longwave.{alias.name}" if is_module else "longwave"
            else:
                yield node.lineno, module
