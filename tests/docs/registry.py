"""Checks by name: what the samples of a page are asked to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.docs.samples import ROOT, Sample

__all__ = ["CHECKS", "check", "passes"]

Checked = Callable[[Sample], Awaitable[None] | None]

CHECKS: dict[tuple[Path, str], Checked] = {}
"""By page and name."""


def check(page: str, name: str) -> Callable[[Checked], Checked]:
    """Make a function of a sample the check of that name in a page; the page is a path in the repository."""

    def register(function: Checked) -> Checked:
        key = (ROOT / page, name)
        assert key not in CHECKS, f"two checks {name} of {page}"
        CHECKS[key] = function
        return function

    return register


def passes(sample: Sample, *arguments: str) -> None:
    """Run pytest in the project, as its developer would, and see that tests ran and passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=sample.root, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
