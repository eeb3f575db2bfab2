"""The tables against our own server, strictly: what `make conformance` does."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tests.conformance.large_cases import LARGEST, MOST_FRAMES
from tests.conformance.report import machine, write
from tests.conformance.run import COMPRESSING, run_tables
from tests.conformance.verdicts import Result, Verdict, markdown, printed, worst
from tests.e2e.process import ServerProcess

__all__ = ["DEFLATE", "PROJECT", "RAISED", "main", "play_all", "play_raised", "serving"]

PROJECT = Path(__file__).with_name("apps") / "longwave"
"""An echo, one that compresses, and a middleware that answers and notes any other request."""
DEFLATE = b"/deflate"
"""Where the echo is that compresses."""
RAISED = {"LONGWAVE_LIMITS_MESSAGE": str(LARGEST), "LONGWAVE_LIMITS_FRAGMENTS": str(MOST_FRAMES)}
"""What `large_cases` and `deflate_cases` ask of the server."""
PIECES = (1, 7)
"""The HTTP cases go in pieces of so many bytes, too."""
HOW = """Default limits, but for the sections 9, 12, 13 and "Beyond
Autobahn" 7 and 8: these have messages of 16 MiB and 65 537 frames, and the limits are raised to that.

Each case stands for the worst of several runs: HTTP cases in one piece, byte by byte, and 7 bytes at a time;
WebSocket cases with a client that waits for its echoes before it closes and answers a close frame, and with
one that does neither. Sections 9, 12 and 13 have just the messages of the Autobahn test suite, 1 000 of them
where it has so many; but in sections 12 and 13, of those that are larger than 4 KiB, only as many as make
4 MiB together. They are played once, by the client of `websockets`, which refuses an answer that is none to
its offer, and a window or a reference to an earlier message that was not agreed on.

One offer of RFC 7692 is declined by this server, as the standard allows (section 7.1.2.1):
`server_max_window_bits=8`, a window of 256 bytes. zlib cannot write raw deflate with it. A client that offers
nothing else gets no compression; one that offers more gets its next offer. Older versions of the Autobahn
test suite ask for 8 where it asks for 9 now."""


@contextmanager
def serving(env: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run `longwave start` on the project for a block; gives its port."""
    with ServerProcess(PROJECT, env=env) as server:
        with urllib.request.urlopen(f"{server.url}seen/0", timeout=5) as response:
            assert json.load(response) == {"begun": 0, "whole": []}, "nobody notes what handlers see"
        yield server.port


def play_all(port: int) -> list[Result]:
    """Play the cases for default limits: in pieces, with a client that waits and with one that does not."""
    runs = [run_tables(port, polite=False), run_tables(port, ("autobahn", "beyond", "limits"))]
    runs += [run_tables(port, ("http",), size=size) for size in PIECES]
    runs += [run_tables(port, COMPRESSING, polite=polite, path=DEFLATE) for polite in (False, True)]
    return _worst_of_each(runs)


def play_raised(port: int, share: float = 1.0) -> list[Result]:
    """Play the cases for raised limits, or a share of each."""
    return [
        *run_tables(port, ("large",), share=share),
        *run_tables(port, ("deflate",), share=share, path=DEFLATE),
    ]


def main() -> int:
    """Run, print the table, write the report; return the exit code."""
    with serving() as port:
        results = play_all(port)
    with serving(RAISED) as port:
        results += play_raised(port)
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
