"""Errors as the page shows them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from longwave.app.values import encode_json
from longwave.inspector.records import ErrorRecords, describe_record

ROOT = Path(__file__).parent


def record(message: str, *arguments: Any, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("longwave.error", logging.ERROR, "x.py", 1, message, arguments, info)


def caught(function: Any) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def fail() -> None:
    raise KeyError("name")


def test_an_error_with_its_line() -> None:
    found = describe_record(record("hook of %s failed", "/ws", error=caught(fail)), ROOT)
    assert (found["where"], found["text"]) == ("hook of /ws failed", "KeyError: 'name'")
    assert (found["file"], found["code"]) == ("test_records.py", 'raise KeyError("name")')
    assert found["line"] == fail.__code__.co_firstlineno + 1
    assert found["traceback"].startswith("Traceback") and found["level"] == "error"


def test_the_line_is_that_of_the_project() -> None:
    def call() -> None:
        Path("\0").read_text()

    found = describe_record(record("x", error=caught(call)), ROOT)
    assert (found["file"], found["code"]) == ("test_records.py", 'Path("\\0").read_text()')
    assert describe_record(record("x", error=caught(call)), ROOT / "elsewhere")["file"] is None
    assert describe_record(record("x", error=caught(call)), None)["file"].endswith(".py")


def test_the_line_is_that_of_the_cause() -> None:
    def wrap() -> None:
        try:
            fail()
        except KeyError as error:
            raise RuntimeError from error

    found = describe_record(record("x", error=caught(wrap)), ROOT)
    assert found["text"] == "RuntimeError" and found["code"] == 'raise KeyError("name")'


def test_a_message_without_an_error() -> None:
    found = describe_record(record("something \ud800"), ROOT)
    assert (found["where"], found["text"], found["traceback"]) == ("", "something ?", None)


def test_what_is_long_is_cut() -> None:
    def deep(depth: int) -> None:
        if not depth:
            raise ValueError("y" * 100_000)
        deep(depth - 1)

    found = describe_record(record("x" * 5000, error=caught(lambda: deep(200))), ROOT)
    assert len(found["traceback"]) <= 8001 and len(found["text"]) == len(found["where"]) == 1001
    assert len(encode_json(found)) < 12_000


def test_warnings_count_and_what_cannot_be_told_does_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[dict[str, Any]] = []
    handler = ErrorRecords(ROOT, told.append)
    logger = logging.Logger("own")
    logger.addHandler(handler)
    logger.info("nothing")
    logger.warning("something")
    assert [one["text"] for one in told] == ["something"]
    logger.warning("%d", "no number")
    assert len(told) == 1 and "no number" in capsys.readouterr().err
