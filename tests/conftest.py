"""What all tests share: how long they run, which are skipped without a program, and whose turn it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.tools import TOOLS
from tests.turns import Turns

# How long examples take says nothing where other tests run beside them.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run of `make test`, new ones in `make test-long`.
settings.register_profile("short", PATIENT, derandomize=True)
settings.register_profile("full", PATIENT)

FULL = os.environ.get("LONGWAVE_TEST_LENGTH") == "full"
END_TO_END = Path(__file__).with_name("e2e")
TURNS = pytest.StashKey[Turns]()

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
    # The longest first: at the end no process should have much to do while the others have nothing.
    alone = {item.path for item in items if _is_alone(item)}
    items.sort(key=lambda item: (item.path not in alone, END_TO_END not in item.path.parents))


def pytest_configure(config: pytest.Config) -> None:
    """Take turns where there are other processes that run tests."""
    if hasattr(config, "workerinput"):
        config.stash[TURNS] = turns = Turns()
        config.add_cleanup(turns.close)


# First of all: to wait is no part of a test, whose time is limited.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Wait until the test may run beside those that run now."""
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    turns.enter(alone=_is_alone(item))
    try:
        return (yield)
    finally:
        if not (_is_alone(item) and nextitem is not None and _is_alone(nextitem)):
            turns.leave()


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


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None
