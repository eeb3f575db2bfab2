"""What the log of `longwave dev` looks like, and that of `longwave start`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from longwave.cli.lines import Lines
from longwave.cli.logs import DevHandler, configure_dev_logs, configure_logs
from longwave.cli.terminal import Part
from longwave.config.settings import LogSettings


class Written:
    """Lines that are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.room = 100

    def lets(self, noun: str) -> bool:
        assert noun == "message"
        return len(self.lines) < self.room

    def write(self, *lines: Sequence[Part], is_error: bool) -> None:
        assert is_error
        for parts in lines:
            text = "".join(part if isinstance(part, str) else part[0] for part in parts)
            # Without the time of day, or what is below it.
            self.lines.append(text[12:])


@pytest.fixture
def loggers() -> Iterator[None]:
    names = ("longwave", "longwave.access", "asyncio")
    before = [(name, logging.getLogger(name).handlers[:], logging.getLogger(name).level) for name in names]
    for name in names:
        logging.getLogger(name).handlers.clear()
    yield
    for name, handlers, level in before:
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = handlers, True
        logger.setLevel(level)


def raised(path: Path) -> Exception:
    path.write_text("def find(name):\n    return {}[name]\n\nfind('x')\n")
    try:
        exec(compile(path.read_text(), str(path), "exec"), {})
    except Exception as error:
        return error
    raise AssertionError("it raises")


def record(message: str, level: int = logging.ERROR, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("longwave.error", level, "", 0, message, (), info)


def handler(root: Path, *, whole: bool = False) -> tuple[DevHandler, Written]:
    written = Written()
    return DevHandler(root, cast(Lines, written), whole=whole), written


def test_an_error_has_the_lines_of_the_project(tmp_path: Path) -> None:
    shown, written = handler(tmp_path)
    shown.emit(record("GET /boom failed", error=raised(tmp_path / "a.py")))
    assert written.lines == [
        "error: GET /boom failed",
        "KeyError: 'x'",
        "  a.py:2 in find",
        "    return {}[name]",
        "  a.py:4 in <module>",
        "    find('x')",
        "  (1 frame of test_logs.py hidden; --log-level debug shows all)",
    ]


def test_debug_shows_whole_tracebacks(tmp_path: Path) -> None:
    shown, written = handler(tmp_path, whole=True)
    shown.emit(record("GET /boom failed", error=raised(tmp_path / "a.py")))
    assert written.lines[1] == "Traceback (most recent call last):"
    assert any("test_logs.py" in line for line in written.lines)
    assert "hidden" not in "".join(written.lines)


def test_a_warning_names_files_as_the_project_does(tmp_path: Path) -> None:
    shown, written = handler(tmp_path)
    shown.emit(record(f"the hook at {tmp_path}/src/a.py:3 held the loop\nfor long", logging.WARNING))
    shown.emit(record("more", logging.INFO))
    assert written.lines == ["warn:  the hook at src/a.py:3 held the loop", "for long", "info:  more"]


def test_a_flood_of_errors_is_not_formatted(tmp_path: Path) -> None:
    shown, written = handler(tmp_path)
    written.room = 1
    shown.emit(record("one"))
    shown.emit(record("two"))
    assert written.lines == ["error: one"]


@pytest.mark.usefixtures("loggers")
def test_what_asyncio_says_is_shown_unless_the_project_has_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written()
    configure_dev_logs(LogSettings(), tmp_path, cast(Lines, written))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    logging.getLogger("asyncio").error("shown by the project")
    logging.getLogger("longwave.dev").warning("ours")
    logging.getLogger("longwave.dev").debug("hidden")
    assert written.lines == ["error: Task exception was never retrieved", "warn:  ours"]


@pytest.mark.usefixtures("loggers")
def test_a_silent_log(tmp_path: Path) -> None:
    written = Written()
    configure_dev_logs(LogSettings("silent"), tmp_path, cast(Lines, written))
    logging.getLogger("longwave.error").critical("no")
    assert logging.getLogger("asyncio").handlers == []
    assert written.lines == []


@pytest.mark.usefixtures("loggers")
def test_production_shows_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings("warning", access=True))
    error = raised(tmp_path / "a.py")
    logging.getLogger("longwave.error").error("GET /boom failed", exc_info=error)
    logging.getLogger("longwave.access").info("127.0.0.1:1 - GET /")
    logging.getLogger("longwave").info("hidden")
    text = capsys.readouterr().err
    assert "ERROR   longwave.error: GET /boom failed\nTraceback (most recent call last):" in text
    assert "test_logs.py" in text
    assert "INFO    longwave.access: 127.0.0.1:1 - GET /" in text
    assert "hidden" not in text
