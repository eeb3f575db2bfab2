"""An error as the person sees it whose code raised it: what, then where in the project, the rest counted."""

from __future__ import annotations

import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import FrameSummary, TracebackException
from typing import Literal

from longwave.dev.failures import code_at, is_own, relative_name

__all__ = ["TracebackLine", "describe_traceback"]

OURS = str(Path(__file__).resolve().parents[1]) + "/"
STANDARD = tuple({sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib")})
PROJECT = "the project"
MOST_FRAMES = 10
"""Frames of the project that are shown: a recursion has a thousand."""
GENERATION = re.compile(r"^lw_\w+\.")
MOST_ERRORS = 5
"""Errors of a chain or of a group that are shown."""


@dataclass(frozen=True, slots=True)
class TracebackLine:
    """One line, with what it is and how far it is moved to the right."""

    kind: Literal["error", "place", "code", "note"]
    text: str
    indent: int = 0


def describe_traceback(error: BaseException, root: Path) -> list[TracebackLine]:
    """Return the lines of an error, with those that it came from or is a group of.

    The frames of the project are shown, the innermost first; those of others only where the project has none.
    """
    described = TracebackException.from_exception(error, lookup_lines=False, compact=True)
    return list(_chain(described, root, 0))


def _chain(error: TracebackException | None, root: Path, indent: int) -> Iterator[TracebackLine]:
    before = ""
    for _ in range(MOST_ERRORS):
        if error is None:
            return
        yield from _one(error, root, indent, before)
        if error.__cause__ is not None:
            before, error = "caused by ", error.__cause__
        else:
            before, error = "while handling ", error.__context__
    if error is not None:
        yield TracebackLine("note", "(and more before it)", indent)


def _one(error: TracebackException, root: Path, indent: int, before: str) -> Iterator[TracebackLine]:
    message, notes = _message(error)
    first, *rest = (before + message).split("\n")
    yield TracebackLine("error", first, indent)
    for line in [*rest, *notes]:
        yield TracebackLine("error", line, indent + 2)
    if _has_place(error):
        yield from _syntax(error, root, indent + 2)
    yield from _frames(error.stack, root, indent + 2)
    group = error.exceptions or []
    for inner in group[:MOST_ERRORS]:
        yield from _chain(inner, root, indent + 2)
    if len(group) > MOST_ERRORS:
        yield TracebackLine("note", f"(and {len(group) - MOST_ERRORS} more in the group)", indent + 2)


def _message(error: TracebackException) -> tuple[str, list[str]]:
    """Return type and text of an error as Python shows them, and its notes."""
    notes = [line for note in getattr(error, "__notes__", None) or () for line in str(note).split("\n")]
    # Of a syntax error the lines before are its place.
    lines = "".join(error.format_exception_only()).rstrip("\n").split("\n")
    lines = lines[: len(lines) - len(notes)]
    if _has_place(error):
        lines = lines[-1:]
    # A module of the project has the number of its generation in its name.
    return GENERATION.sub("", "\n".join(lines)), notes


def _has_place(error: TracebackException) -> bool:
    """Whether it is a syntax error that says where."""
    return getattr(error, "filename", None) is not None and error.lineno is not None


def _syntax(error: TracebackException, root: Path, indent: int) -> Iterator[TracebackLine]:
    assert error.filename is not None and error.lineno is not None
    yield TracebackLine("place", f"{relative_name(error.filename, root)}:{error.lineno}", indent)
    text = (error.text or "").rstrip("\n")
    if text.strip():
        yield TracebackLine("code", text.strip(), indent + 2)
        column = int(error.offset or 0) - 1 - (len(text) - len(text.lstrip()))
        if column >= 0:
            yield TracebackLine("error", " " * column + "^", indent + 2)


def _frames(stack: Sequence[FrameSummary], root: Path, indent: int) -> Iterator[TracebackLine]:
    owners = [_owner(frame, root) for frame in stack]
    has_own = PROJECT in owners
    shown = [frame for frame, owner in zip(stack, owners, strict=True) if owner == PROJECT or not has_own]
    for frame in shown[: -MOST_FRAMES - 1 : -1]:
        place = f"{relative_name(frame.filename, root)}:{frame.lineno}"
        yield TracebackLine("place", f"{place} in {frame.name}", indent)
        code = code_at(frame.filename, frame.lineno or 0)
        if code is not None:
            yield TracebackLine("code", code, indent + 2)
    hidden = Counter(owner for owner in owners if owner != PROJECT and has_own)
    hidden[PROJECT] = max(0, len(shown) - MOST_FRAMES)
    counted = [(number, name) for name, number in hidden.most_common() if number]
    if counted:
        number, name = counted[0]
        said = f"{number} frame{'s' * (number != 1)} of {name}"
        said += "".join(f", {number} of {name}" for number, name in counted[1:])
        yield TracebackLine("note", f"({said} hidden; --log-level debug shows all)", indent)


def _owner(frame: FrameSummary, root: Path) -> str:
    """Return the name of what a frame is of: the project, Longwave, a package, Python."""
    if frame.filename.startswith(OURS):
        return "longwave"
    if is_own(frame.filename, root):
        return PROJECT
    path = Path(frame.filename)
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
    return "Python" if frame.filename.startswith(("<", *STANDARD)) else path.name
