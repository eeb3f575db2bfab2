"""What dev shows of an error in a browser: the user's frames first, with their lines."""

from __future__ import annotations

import html
import linecache
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from longwave.app.error_reply import describe
from longwave.errors import HTTPError

if TYPE_CHECKING:
    from longwave.app.event import Event

__all__ = ["error_page"]

OURS = str(Path(__file__).resolve().parents[1])


def error_page(event: Event, error: BaseException) -> str:
    """Return a page that shows an error: what, and where in the user's code."""
    status = error.status if isinstance(error, HTTPError) else 500
    title = html.escape(f"{status} {describe(error)}" if status >= 500 else f"{status} {error}")
    frames = [] if isinstance(error, HTTPError) and status < 500 else _frames(error)
    shown = "".join(frames)
    request = html.escape(f"{event.method} {event.path}")
    return PAGE.format(title=title, request=request, frames=shown)


def _frames(error: BaseException) -> list[str]:
    stack = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in stack if not frame.filename.startswith(OURS)]
    return [_frame(frame) for frame in reversed(own or stack)]


def _frame(frame: traceback.FrameSummary) -> str:
    lines = []
    line = frame.lineno or 0
    for number in range(max(1, line - 3), line + 4):
        text = linecache.getline(frame.filename, number)
        if text:
            mark = " class=here" if number == line else ""
            lines.append(f"<span{mark}>{number:5d}  {html.escape(text.rstrip())}</span>")
    place = html.escape(f"{frame.filename}:{frame.lineno} in {frame.name}")
    return f"<h2>{place}</h2><pre>{chr(10).join(lines)}</pre>"


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 60rem; margin: 3rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.4rem; overflow-wrap: anywhere }} h2 {{ font-size: .9rem; font-weight: 500; opacity: .8 }}
pre {{ overflow-x: auto; padding: .75rem; border-radius: .5rem; background: #8881 }}
pre {{ font: 13px/1.6 ui-monospace, monospace }}
pre span {{ display: block }} .here {{ background: #f443; font-weight: 600 }}
</style>
<p>{request}</p><h1>{title}</h1>{frames}
"""
