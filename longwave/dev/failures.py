"""Says in one sentence what went wrong in a project's code, and where."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from longwave.errors import LongwaveError

__all__ = ["Failure", "code_at", "describe_failure", "is_own", "relative_name"]

MOST_FRAMES = 20
"""Places that are told: a recursion has a thousand."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A sentence, and the line of the project's code that it is about, if any.

    `stack` are the lines of the project that led there, that one first, where there is more than one.
    """

    text: str
    file: str | None = None
    line: int | None = None
    code: str | None = None
    stack: tuple[str, ...] = ()

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
    stack = _stack(error, root)
    while first.__cause__ is not None:
        first = first.__cause__
        stack = _stack(first, root) + stack
    text = str(error) if isinstance(error, LongwaveError) else _sentence(error)
    if isinstance(first, SyntaxError) and first.filename and first.lineno:
        place = (first.filename, first.lineno)
    else:
        found = _last_line_inside(first, root)
        if found is None:
            return Failure(text)
        place = found
    file, line = place
    stack = stack if len(stack) > 1 else []
    return Failure(text, relative_name(file, root), line, code_at(file, line), tuple(stack[:MOST_FRAMES]))


def is_own(file: str, root: Path) -> bool:
    """Whether a file is the project's own code.

    What is installed inside it, in .venv, is not.
    """
    inside = _inside(file, root)
    return inside is not None and "site-packages" not in inside.parts


def relative_name(file: str, root: Path) -> str:
    """Return a file as it is named in the project."""
    return str(_inside(file, root) or file)


def code_at(file: str, line: int) -> str | None:
    """Return a line of code, if there is one."""
    # Not by `linecache`: it keeps the text of a file that is being edited.
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[line - 1].strip() or None if 0 < line <= len(lines) else None


def _inside(file: str, root: Path) -> Path | None:
    """Return the path of a file in the project, however the project was reached."""
    path = Path(file)
    for folder in (root, root.resolve()):
        if path.is_relative_to(folder):
            return path.relative_to(folder)
    return None


def _sentence(error: BaseException) -> str:
    name = type(error).__name__
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{name}: {text}" if text else name


def _stack(error: BaseException, root: Path) -> list[str]:
    """Return the places of an error in the project, the last one first."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return [
        f"{relative_name(frame.filename, root)}:{frame.lineno} in {frame.name}"
        for frame in frames
        if frame.lineno and is_own(frame.filename, root)
    ]


def _last_line_inside(error: BaseException, root: Path) -> tuple[str, int] | None:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.lineno and is_own(frame.filename, root):
            return frame.filename, frame.lineno
    return None
