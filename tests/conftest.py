"""What all tests share: how long they run, and what is skipped where a program is missing."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.tools import TOOLS

# The same examples in every run of `make test`, new ones in `make test-long`.
settings.register_profile("short", derandomize=True, deadline=None)
settings.register_profile("full", deadline=None)

FULL = os.environ.get("LONGWAVE_TEST_LENGTH") == "full"


settings.load_profile("full" if FULL else "short")


@pytest.fixture
def length() -> Callable[[int], int]:
    """Scale a count: itself in `make test-long`, a tenth of it (at least 1) otherwise."""
    return lambda count: count if FULL else max(1, count // 10)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a missing program, and full-length tests unless they were asked for."""
    for item in items:
        for tool in TOOLS:
            if tool.path is None and item.get_closest_marker(tool.marker):
                item.add_marker(pytest.mark.skip(reason=f"{tool.name} is not installed"))
        if not FULL and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="full length only: make test-long"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what was not tested on this machine, and how it could be."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for tool in TOOLS:
        count = sum(f"{tool.name} is not installed" in reason for reason in skipped)
        if count:
            terminalreporter.write_line(
                f"NOT TESTED: {count} tests need {tool.name}; on Debian: apt-get install {tool.package}",
                yellow=True,
            )
