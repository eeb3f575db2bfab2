"""Writes `docs/results/conformance.md`, a part at a time: the other part stays as it was."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

__all__ = ["PAGE", "PARTS", "machine", "page", "write"]

PAGE = Path(__file__).parents[2] / "docs" / "results" / "conformance.md"
PARTS = {
    "verdicts": "`make conformance` writes this part.\n",
    "calibration": "`make calibrate` writes this part.\n",
}
INTRODUCTION = """# Conformance

What Longwave makes of every case of the conformance tables, and what the same tables find on other servers.
Programs write this page: `make conformance` its first part, `make calibrate` its second.

How to read it. A case is what a client sends and what has to come back. The tables are data in
`tests/conformance/`, and the program that plays them, `python -m tests.conformance.run`, knows no server
but only an address. `OK` is just what was demanded, no later than demanded. `NON-STRICT` is the right
outcome, but late, with less, or by another status. `UNCLEAN` is the right outcome without the goodbye: a
connection that was cut, or left open. `INFORMATIONAL` is a case that the Autobahn test suite leaves open,
with another outcome than the one demanded here. `FAILED` is anything else. Of Longwave `OK` is demanded
everywhere: anything else makes `make conformance` fail. WebSocket cases from 1 to 13 have the numbers of
the Autobahn test suite; they were written anew for these tables.
"""


def write(part: str, text: str, path: Path = PAGE) -> None:
    """Put a part into the page, which is made where it is missing."""
    parts = dict(PARTS)
    if path.exists():
        for name in parts:
            found = re.search(_marked(name, "(.*)"), path.read_text(), re.DOTALL)
            if found is not None:
                parts[name] = found[1]
    parts[part] = text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(parts))


def page(parts: dict[str, str]) -> str:
    """Return the whole page."""
    return INTRODUCTION + "".join(f"\n{_marked(name, text)}\n" for name, text in parts.items())


def machine() -> str:
    """Return the date and the kind of machine, without a name of it."""
    kernel = platform.release().partition("-")[0]
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()} {kernel}, {platform.python_implementation()} {platform.python_version()}"
    )


def _marked(name: str, text: str) -> str:
    return f"<!-- part: {name} -->\n{text}<!-- end of part: {name} -->"
