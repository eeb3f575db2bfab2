"""Deno, whose EventSource and WebSocket are those of the web platform; it comes as a wheel."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["needs_deno", "run_script"]

SCRIPTS = Path(__file__).with_name("scripts")

needs_deno = pytest.mark.skipif(
    importlib.util.find_spec("deno") is None, reason="Deno is not installed: pip install deno"
)


def run_script(name: str, *arguments: str, within: float = 40.0) -> list[Any]:
    """Run a script of `scripts/` and return what it printed, a JSON value on each line."""
    binary = importlib.import_module("deno").find_deno_bin()
    command = [binary, "run", "--quiet", "--no-config", "--allow-net=127.0.0.1"]
    environment = {**os.environ, "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
    result = subprocess.run(
        [*command, str(SCRIPTS / name), *arguments],
        capture_output=True,
        timeout=within,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    # Never splitlines(): what comes back may hold U+2028.
    return [json.loads(line) for line in result.stdout.decode().split("\n") if line]
