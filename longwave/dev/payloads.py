"""What is said over the HMR WebSocket: Vite's payloads, of changed files and of new code."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from longwave.dev.failures import Failure
from longwave.dev.feed import Restart, Swapped

__all__ = ["Payload", "error_payload", "page_payloads", "restart_payload", "swapped_payload"]

Payload: TypeAlias = dict[str, Any]

AROUND = 2
"""Lines before and after the one that is wrong."""


def page_payloads(files: Iterable[Path], root: Path) -> list[Payload]:
    """Return what pages have to do for files that they are made of.

    A style sheet is exchanged in place; a page that changed concerns those who show it, anything else all.
    Paths are those of URLs, decoded.
    """
    styles: list[str] = []
    pages: list[Path] = []
    for file in sorted(files):
        suffix = file.suffix.lower()
        if suffix == ".html":
            pages.append(file)
        elif suffix == ".css" and file.exists():
            styles.append(_path(file, root))
        else:
            return [{"type": "full-reload", "path": "*", "triggeredBy": _name(file, root)}]
    payloads: list[Payload] = []
    if styles:
        now = time.time_ns() // 1_000_000
        updates = [
            {"type": "css-update", "path": path, "acceptedPath": path, "timestamp": now} for path in styles
        ]
        payloads.append({"type": "update", "updates": updates})
    for page in pages:
        payloads.append({"type": "full-reload", "path": _path(page, root), "triggeredBy": _name(page, root)})
    return payloads


def swapped_payload(news: Swapped) -> Payload:
    """Return the event of an exchange of code."""
    data = {
        "files": news.files,
        "routes": news.routes,
        "added": news.added,
        "removed": news.removed,
        "kept": news.kept,
        "closed": news.closed,
        "ended": news.ended,
        "milliseconds": round(news.seconds * 1000),
        "mended": news.mended,
    }
    return {"type": "custom", "event": "longwave:swapped", "data": data}


def restart_payload(news: Restart) -> Payload:
    """Return the event of a worker that is to be replaced."""
    return {"type": "custom", "event": "longwave:restart", "data": {"files": news.files, "why": news.why}}


def error_payload(failure: Failure, root: Path) -> Payload:
    """Return what an overlay shows.

    `id` is the file as people know it, `loc.file` its whole path, for an editor, and `frame` the lines around
    the one that is wrong, which begins with `>`. They are missing where no line of the project is to blame.
    """
    err: dict[str, Any] = {"message": failure.text, "stack": "\n".join(failure.stack)}
    if failure.file is not None:
        file, line = root / failure.file, failure.line or 1
        err["id"] = failure.file
        # The line as a whole is meant.
        err["loc"] = {"file": str(file), "line": line, "column": 1}
        err["frame"] = _frame(file, line) or failure.code or ""
    return {"type": "error", "err": err}


def _frame(file: Path, line: int) -> str:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    first, last = max(1, line - AROUND), min(len(lines), line + AROUND)
    width = len(str(last))
    return "\n".join(
        f"{'>' if number == line else ' '} {number:>{width}} | {lines[number - 1]}".rstrip()
        for number in range(first, last + 1)
    )


def _path(file: Path, root: Path) -> str:
    public = root / "public"
    return "/" + file.relative_to(public if file.is_relative_to(public) else root).as_posix()


def _name(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()
