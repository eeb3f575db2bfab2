"""Where `longwave dev` has a line for each request, and where it has none."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from longwave.assemble import App, create_app
from longwave.cli.output import WorkerOutput
from longwave.cli.serve import options_of
from longwave.config import Settings, settings_from_values
from longwave.config.settings import LogLevel
from longwave.inspector.activity import Activity, Requested


class Stream(io.StringIO):
    """What is written to, be it a terminal or not."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    names = ("longwave", "asyncio")
    before = [(name, logging.getLogger(name).handlers[:], logging.getLogger(name).level) for name in names]
    yield
    for name, handlers, level in before:
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = handlers, True
        logger.setLevel(level)


def settings_of(level: LogLevel = "info", access: bool = False) -> Settings:
    return settings_from_values({"log": {"level": level, "access": access}}, command="dev")


def written(settings: Settings, out: Stream, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is written of one request."""
    monkeypatch.setattr(sys, "stdout", out)
    activity, app = Activity(), create_app(routes={"/api": lambda: "x"})

    async def scenario(app: App) -> None:
        with closing(WorkerOutput(settings)) as output:
            output.follow(app, activity)
            activity.tell(Requested("GET", "/api", 200, 0.001, None))

    asyncio.run(scenario(app))
    return out.getvalue()


@pytest.mark.parametrize(
    ("is_terminal", "ci", "level", "access", "is_shown"),
    [
        (True, "", "info", False, True),
        (True, "", "debug", False, True),
        (True, "", "warning", False, False),
        (True, "true", "info", False, False),
        (False, "", "info", False, False),
        (False, "", "info", True, True),
        (True, "true", "warning", True, True),
        (True, "", "silent", True, False),
    ],
)
def test_whether_requests_have_lines(
    is_terminal: bool,
    ci: str,
    level: LogLevel,
    access: bool,
    is_shown: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("NO_COLOR", "1")
    text = written(settings_of(level, access), Stream(is_terminal), monkeypatch)
    assert ("GET    200   /api  1.0 ms\n" in text) is is_shown
    assert text.count("\n") == is_shown


def test_what_the_project_prints_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Stream(False))
    with closing(WorkerOutput(settings_of())) as output:
        assert not output.was_used()
        print("from the project")
        assert (output.was_used(), output.was_used()) == (True, False)


def test_there_is_one_line_for_each_request(tmp_path: Path) -> None:
    """That of the server is for production."""
    assert not options_of(settings_of(access=True), 3).access_log
    assert options_of(settings_from_values({"log": {"access": True}}), 3).access_log
