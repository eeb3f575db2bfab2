"""What `import longwave` loads: counted, and with a list of what it must do without; no times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NEVER = {
    # Of ours: other commands, other servers, drivers that nobody asked for.
    "longwave.dev",
    "longwave.testing",
    "longwave.asgi",
    "longwave.inspector",
    "longwave.backplane.memory",
    "longwave.backplane.redis",
    "longwave.backplane.nats",
    "longwave.backplane.postgres",
    "longwave.app.error_page",
    "longwave.core.forms",
    # Of others: what only some of our modules need, or none.
    "asyncpg",
    "dataclasses",
    "email",
    "encodings.idna",
    "html",
    "importlib.metadata",
    "importlib.resources",
    "nats",
    "pydantic",
    "random",
    "redis",
    "rich",
    "shutil",
    "tempfile",
    "tomllib",
    "watchfiles",
    "websockets",
    "zipfile",
}
NOT_BY_IMPORT = NEVER | {"click", "httptools", "longwave.cli", "longwave.server", "uvloop", "zlib"}
BASE = "import asyncio, click, httptools, msgspec, uvloop"
"""What every start needs of others, with what they load, which is not ours to count."""


def modules(code: str) -> set[str]:
    """Return what an interpreter has loaded after some code; -S leaves out what site packages add."""
    paths = [path for path in sys.path if path.endswith("-packages")] + [str(Path(__file__).parents[1])]
    code = f"import sys; sys.path[:0] = {paths}; {code}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def ours(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.partition(".")[0] == "longwave"}


@pytest.fixture(scope="module")
def base() -> set[str]:
    return modules(BASE)


def test_import_loads_what_an_application_needs_and_no_more(base: set[str]) -> None:
    loaded = modules("import longwave")
    assert loaded & (NOT_BY_IMPORT - modules("import asyncio, msgspec")) == set()
    assert len(ours(loaded)) <= 65
    assert len(loaded - ours(loaded) - base) <= 20
