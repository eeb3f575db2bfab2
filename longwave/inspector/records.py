"""What is logged as `longwave.error`, as messages of the protocol, with the line that it is about."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longwave.inspector.protocol import shortened

__all__ = ["ErrorRecords", "describe_record"]

MOST_TEXT = 1000
MOST_TRACEBACK = 8000


class ErrorRecords(logging.Handler):
    """Tells of each warning and error, as a message of the protocol without its `id`.

    From whichever thread it is logged in.
    """

    def __init__(self, root: Path | None, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(logging.WARNING)
        self._root = root
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a record."""
        try:
            self._tell(describe_record(record, self._root))
        except Exception:
            self.handleError(record)


def describe_record(record: logging.LogRecord, root: Path | None) -> dict[str, Any]:
    """Return what a record says, and the last line inside of `root` of its error."""
    error = record.exc_info[1] if record.exc_info else None
    message: dict[str, Any] = {
        "type": "error",
        "at": record.created,
        "level": record.levelname.lower(),
        "where": "",
        "text": shortened(record.getMessage(), MOST_TEXT),
        "file": None,
        "line": None,
        "code": None,
        "traceback": None,
    }
    if error is not None:
        name = type(error).__name__
        text = str(error)
        message["where"] = message["text"]
        message["text"] = shortened(f"{name}: {text}" if text else name, MOST_TEXT)
        lines = "".join(traceback.format_exception(error, limit=50))
        # The end says what went wrong.
        message["traceback"] = shortened(lines[-MOST_TRACEBACK:], MOST_TRACEBACK)
        place = _place(error, root)
        if place is not None:
            message["file"], message["line"], message["code"] = place
    return message


def _place(error: BaseException, root: Path | None) -> tuple[str, int | None, str | None] | None:
    while error.__cause__ is not None:
        error = error.__cause__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        # What is installed inside of the project, in .venv, is not the project's own.
        if root is None or (path.is_relative_to(root) and "site-packages" not in path.parts):
            name = str(path.relative_to(root)) if root is not None else frame.filename
            return name, frame.lineno, frame.line or None
    return None
