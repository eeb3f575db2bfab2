"""What dev shows of an error in a browser."""

from __future__ import annotations

from typing import Any

import pytest

from longwave.app.error_page import error_page
from longwave.app.event import Event
from longwave.contract import Request
from longwave.errors import HTTPError

event = Event(None, Request("GET", b"/a?b", []), "/a<b>", "b")  # type: ignore[arg-type]


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_the_page_shows_the_users_lines_and_escapes_everything() -> None:
    page = error_page(event, raised(ValueError("<script>")))
    assert "500 ValueError: &lt;script&gt;" in page and "<script>" not in page
    assert "GET /a&lt;b&gt;" in page
    assert "test_error_page.py" in page and "raise error" in page


def test_an_answer_on_purpose_has_no_frames() -> None:
    page = error_page(event, raised(HTTPError(404, "not <here>")))
    assert "404 not &lt;here&gt;" in page and "test_error_page.py" not in page
    assert "test_error_page.py" in error_page(event, raised(HTTPError(503)))


def test_errors_without_frames_or_text() -> None:
    assert "500 Silent" in error_page(event, Silent())
    assert "500 ValueError" in error_page(event, ValueError())


def test_frames_of_code_that_has_no_file() -> None:
    names: dict[str, Any] = {}
    exec("def run():\n    raise KeyError('nowhere')", names)
    with pytest.raises(KeyError) as caught:
        names["run"]()
    assert "&lt;string&gt;:2 in run" in error_page(event, caught.value)
