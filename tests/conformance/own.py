"""The tables against our own server, strictly: what `make conformance` does."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tests.conformance.report import machine, write
from tests.conformance.run import run_tables
from tests.conformance.verdicts import Result, Verdict, markdown, printed, worst
from tests.e2e.process import ServerProcess

__all__ = ["PROJECT", "main", "play_all", "serving"]

PROJECT = Path(__file__).with_name("apps") / "longwave"
"""An echo, and a middleware that answers and notes any other request."""
PIECES = (1, 7)
"""The HTTP cases go in pieces of so many bytes, too."""
HOW = """Default limits.

Each case stands for the worst of several runs: HTTP cases in one piece, byte by byte, and 7 bytes at a time;
WebSocket cases with a client that waits for its echoes before it closes and answers a close frame, and with
one that does neither."""


@contextmanager
def serving() -> Iterator[int]:
    """Run `longwave start` on the project for a block; gives its port."""
    with ServerProcess(PROJECT) as server:
        with urllib.request.urlopen(f"{server.url}seen/0", timeout=5) as response:
            assert json.load(response) == {"begun": 0, "whole": []}, "nobody notes what handlers see"
        yield server.port


def play_all(port: int) -> list[Result]:
    """Play every case: whole, in pieces, with a client that waits and with one that does not."""
    runs = [run_tables(port, polite=False), run_tables(port, ("autobahn", "beyond", "limits"))]
    runs += [run_tables(port, ("http",), size=size) for size in PIECES]
    return _worst_of_each(runs)


def main() -> int:
    """Run, print the table, write the report; return the exit code."""
    with serving() as port:
        results = play_all(port)
    print(printed(results))
    title = f"## Longwave {version('longwave')}"
    write("verdicts", f"{title}\n\n{machine()}. {HOW}\n\n{markdown(results)}")
    return 0 if all(result.verdict is Verdict.OK for result in results) else 1


def _worst_of_each(runs: Sequence[Sequence[Result]]) -> list[Result]:
    found: dict[tuple[str, str], Result] = {}
    for result in (result for results in runs for result in results):
        key = result.section, result.id
        if key not in found or worst(found[key].verdict, result.verdict) is not found[key].verdict:
            found[key] = result
    return list(found.values())
