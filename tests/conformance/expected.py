"""What the tables have to find on other people's servers: measured before, with other tools.

The WebSocket numbers are those of the Autobahn test suite itself (sections 1 to 7, 9 and 10), the HTTP words
those of 59 vectors written for it, on uvicorn 0.54, Granian 2.8.7, Hypercorn 0.18, Node.js 20, ws 8.23 and
Bun 1.4.5.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHOPPED", "MATRIX", "WEBSOCKET", "Expected", "same"]

CHOPPED = frozenset({"3.3", "3.4", "4.1.5", "4.2.5"})
"""Cases whose error comes in a later packet than the message before it: being early is a matter of time."""
_LATE_UTF8 = frozenset({"6.4.1", "6.4.2", "6.4.3", "6.4.4"})
_NO_ECHO = frozenset({"3.2", "4.1.3", "4.1.4", "4.2.3", "4.2.4", "5.15"}) | CHOPPED


@dataclass(frozen=True, slots=True)
class Expected:
    """How many of the 301 cases were not strict, and which, and which failed."""

    number: int
    non_strict: frozenset[str]
    failed: frozenset[str] = frozenset()


WEBSOCKET: dict[str, Expected] = {
    "longwave": Expected(0, frozenset()),
    "uvicorn-wsproto": Expected(10, _NO_ECHO),
    "uvicorn": Expected(14, _NO_ECHO | _LATE_UTF8, frozenset({"7.1.5"})),
    # It takes 16 384 frames; these have 65 537 and 16 385.
    "ws": Expected(4, _LATE_UTF8, frozenset({"9.3.1", "9.3.2", "9.4.1", "9.4.2"})),
    "bun": Expected(4, _LATE_UTF8),
    "hypercorn": Expected(10, _NO_ECHO),
    "granian": Expected(2, frozenset({"6.4.3", "6.4.4"})),
}
"""By the names of `peers`."""

_SERVERS = ("longwave", "uvicorn-wsproto", "uvicorn", "granian", "hypercorn", "ws")


def _row(words: str, longwave: str = "400") -> dict[str, str]:
    return dict(zip(_SERVERS, [longwave, *words.split(" | ")], strict=True))


MATRIX: dict[str, dict[str, str]] = {
    "CL + TE": _row("ok | 400 | ok | ok | 400"),
    "TE chunked twice": _row("400 | 400 | ok | 501 | 400"),
    "TE identity, chunked": _row("400 | ok | ok | 501 | ok"),
    "TE on HTTP/1.0": _row("ok | ok | 400 | ok | ok"),
    "CL 5, 5": _row("ok | 400 | 400 | ok | 400"),
    "CL 5 twice": _row("ok | 400 | ok | ok | 400"),
    "CL 2^64 + 5": _row("hangs | 400 | 400 | hangs | 400"),
    "size 2^64 + 5": _row("hangs | 400 | ok | hangs | 400"),
    "size 0x5": _row("400 | 400 | ok | 400 | 400"),
    "size +5": _row("400 | 400 | ok | 400 | 400"),
    "size -5": _row("400 | 400 | ok | 400 | 400"),
    "size 0_5": _row("400 | 400 | ok | 400 | 400"),
    "bare LF after the size": _row("400 | 400 | ok | 400 | 400"),
    "LF in an extension": _row("400 | 400 | ok | 400 | 400"),
    "space after the size": _row("ok | 400 | ok | ok | 400"),
    "CR in an extension": _row("ok | 400 | ok | ok | 400"),
    "64 KiB extension": _row("ok | ok | ok | 431 | hangs"),
    "bare LF everywhere": _row("ok | 400 | ok | ok | 400"),
    "folded value": _row("ok | 400 | 400 | ok | 400"),
    "BEL": _row("ok | 400 | 400 | ok | 400"),
    "no Host at all": _row("400 | ok | ok | 400 | 400"),
    "two Hosts": _row("400 | ok | ok | 400 | ok"),
    "Host a b": _row("ok | ok | ok | ok | ok"),
    "Host u@h": _row("ok | ok | ok | ok | ok"),
    "HTTP/9.9": _row("ok | 400 | 400 | ok | 400", longwave="505"),
    "HTTP/2.0 on h1": _row("ok | ok | 400 | ok | ok", longwave="505"),
    "two spaces before the version": _row("400 | ok | 400 | 400 | ok"),
}
"""Case by its name, then server: a status, `ok` when the handler ran and 2xx came, `hangs`."""


def same(expected: str, found: str) -> bool:
    """Tell whether what was found is what was expected: bodies and what came later aside."""
    return expected == found.partition("[")[0].partition(",")[0]
