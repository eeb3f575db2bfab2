"""What docs/topics/security.md says is on, off, and never done."""

from __future__ import annotations

import ast
from pathlib import Path

import longwave
from longwave.config import Settings, load_settings

PACKAGE = Path(longwave.__file__).parent
NEVER_IMPORTED = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml"}
RUNS_CODE = {"config/files.py", "routing/modules.py"}
"""The files that run the project's own modules."""


def defaults(tmp_path: Path, command: str = "start") -> Settings:
    return load_settings(tmp_path, command="dev" if command == "dev" else "start", environ={})


def test_what_is_on_and_off_by_default(tmp_path: Path) -> None:
    settings = defaults(tmp_path)
    assert settings.security.origins == ()
    assert settings.security.forwarded_allow_ips == ()
    assert settings.security.require_origin is False
    assert settings.compression.websocket is False
    assert settings.limits.message_rate == 0
    assert settings.limits.connections_per_address == 0
    assert settings.limits.connections == 0
    assert settings.log.access is False


def test_dev_listens_on_localhost_alone(tmp_path: Path) -> None:
    assert defaults(tmp_path, "dev").server.host == "localhost"


def test_nothing_is_unpickled_or_evaluated() -> None:
    imported: dict[str, str] = {}
    called: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported.update((alias.name.partition(".")[0], name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported[node.module.partition(".")[0]] = name
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called.setdefault(node.func.id, set()).add(name)
    assert not NEVER_IMPORTED & imported.keys()
    assert "eval" not in called
    assert called["exec"] == RUNS_CODE
