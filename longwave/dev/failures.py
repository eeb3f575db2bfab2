"""Says in one sentence what went wrong in a project's code, and where."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from longwave.errors import LongwaveError

__all__ = ["Failure", "describe_failure"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A sentence, and the line of the project's code that it is about, if any."""

    text: str
    file: str | None = None
    line: int | None = None
    code: str | None = None

    def __str__(self) -> str:
        text = self.text
        if self.file is not None:
            place = f"{self.file}, line {self.line}" if self.line else self.file
            # Some errors say it themselves.
            if place not in text:
                text += f"\n  {place}"
            if self.code and self.code not in text:
                text += f"\n    {self.code}"
        return text


def describe_failure(error: BaseException, root: Path) -> Failure:
    """Return what an error is to the person whose code raised it.

    The place is that of the first cause: the line of a syntax error, else the last line inside `root`.
    """
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    text = str(error) if isinstance(error, LongwaveError) else _sentence(error)
    if isinstance(first, SyntaxError) and first.filename and first.lineno:
        place = (first.filename, first.lineno)
    else:
        found = _last_line_inside(first, root)
        if found is None:
            return Failure(text)
        place = found
    file, line = place
    return Failure(text, _relative(file, root), line, _code(file, line))


def _sentence(error: BaseException) -> str:
    name = type(error).__name__
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{name}: {text}" if text else name


def _last_line_inside(error: BaseException, root: Path) -> tuple[str, int] | None:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        # What is installed inside the project, in .venv, is not the project's own code.
        if path.is_relative_to(root) and "site-packages" not in path.parts and frame.lineno:
            return frame.filename, frame.lineno
    return None


def _relative(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


def _code(file: str, line: int) -> str | None:
    # Not by `linecache`: it keeps the text of a file that is being edited.
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[line - 1].strip() or None if 0 < line <= len(lines) else None
