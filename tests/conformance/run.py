"""Runs the conformance tables against any server: `python -m tests.conformance.run --help`.

What the server has to offer stands in the docstrings of `ws_cases` (an echo), `handshake_cases` (its
subprotocols), `deflate_cases` (an echo that compresses) and `http_player` (any address, and what its handler
saw). It exits with 1 when a case is not OK. The tables `limits` and `large` want other limits, and are not
to be asked for together.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TypeAlias
from urllib.parse import urlsplit

from tests.conformance import (
    deflate_cases,
    deflate_player,
    handshake_player,
    http_player,
    large_player,
    ws_player,
)
from tests.conformance.deflate_frames import COMPRESSED
from tests.conformance.handshake_cases import HANDSHAKES, OFFERS
from tests.conformance.http_cases import ALL
from tests.conformance.large_cases import LARGE, shortened
from tests.conformance.verdicts import Result, Verdict, printed
from tests.conformance.wire import Address, Timing
from tests.conformance.ws_cases import AUTOBAHN, BEYOND, LIMITS

__all__ = ["AT_ONCE", "COMPRESSING", "RAISED", "TABLES", "Play", "main", "plays", "run", "run_tables"]

Play: TypeAlias = Callable[[], Awaitable[Result]]

AT_ONCE = 24
"""Connections at a time."""
CASE = 30.0
"""Seconds for one case; what takes longer is a fault of the runner."""
LONG = 4000
TABLES = ("autobahn", "beyond", "limits", "handshake", "http")
"""For a server with its default limits."""
COMPRESSING = ("frames", "offers")
"""For an echo that compresses, with its default limits."""
RAISED = ("large", "deflate")
"""For a server that takes messages of 16 MiB and 65 537 frames; `deflate` for an echo that compresses."""
EVERY = TABLES + COMPRESSING + RAISED


def plays(
    tables: Iterable[str],
    websocket: Address,
    http: Address,
    timing: Timing,
    wanted: Sequence[str] = ("*",),
    *,
    polite: bool = True,
    size: int = 0,
    share: float = 1.0,
) -> list[Play]:
    """Return the cases of some tables, ready to be played.

    `wanted` are patterns of their ids; what `polite` means stands in `ws_player`. HTTP cases go `size` bytes
    at a time where that is not 0, but for those of `LONG` bytes. Those of `RAISED` have a share of their
    length.
    """
    found: list[Play] = []

    def add(name: str, play: Play) -> None:
        if any(fnmatchcase(name, pattern) for pattern in wanted):
            found.append(play)

    for table in tables:
        for ws in _FRAMES.get(table, ()):
            add(ws.id, partial(ws_player.play, ws, websocket, timing, polite=polite))
        for request in {"handshake": HANDSHAKES, "offers": OFFERS}.get(table, ()):
            add(request.id, partial(handshake_player.play, request, websocket, timing))
        for large in LARGE if table == "large" else ():
            add(large.id, partial(large_player.play, shortened(large, share), websocket))
        for deflate in deflate_cases.CASES if table == "deflate" else ():
            add(deflate.id, partial(deflate_player.play, deflate_cases.shortened(deflate, share), websocket))
        for case in ALL if table == "http" else ():
            if not (size and len(case.data) >= LONG):
                add(case.name, partial(http_player.play, case, http, timing, size=size))
    return found


async def run(cases: Sequence[Play], at_once: int = AT_ONCE, within: float = CASE) -> list[Result]:
    """Play cases, some at a time; results come in the order of the cases."""
    slots = asyncio.Semaphore(at_once)

    async def one(play: Play) -> Result:
        async with slots, asyncio.timeout(within):
            return await play()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(play)) for play in cases]
    return [task.result() for task in tasks]


def run_tables(
    port: int,
    tables: Iterable[str] = TABLES,
    timing: Timing | None = None,
    *,
    wanted: Sequence[str] = ("*",),
    polite: bool = True,
    size: int = 0,
    share: float = 1.0,
    path: bytes = b"/ws",
) -> list[Result]:
    """Run tables against a server on a port of this machine, its WebSocket at a path; see `plays`."""
    address = Address("127.0.0.1", port, path)
    cases = plays(tables, address, address, timing or Timing(), wanted, polite=polite, size=size, share=share)
    # What has its own, longer time is not to wait for more than one of its kind.
    if not set(tables) <= set(RAISED):
        return asyncio.run(run(cases))
    return asyncio.run(run(cases, 2, max(large_player.WITHIN, deflate_player.WITHIN) + CASE))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.run", description=__doc__)
    parser.add_argument("--ws", metavar="URL", type=_address, help="an echo, as ws://127.0.0.1:8000/ws")
    parser.add_argument("--http", metavar="HOST:PORT", type=_address, help="the HTTP server")
    parser.add_argument("--table", action="append", choices=EVERY, help="only this one; may be repeated")
    parser.add_argument("--case", action="append", metavar="PATTERN", help="only these ids, as 6.4.*")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="connections at a time (%(default)s)")
    parser.add_argument(
        "--patience", type=float, default=Timing().patience, help="seconds for an answer (%(default)s)"
    )
    parser.add_argument(
        "--rude", action="store_true", help="do not wait for echoes before a close, nor answer one"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print every case")
    options = parser.parse_args(argv)
    if not (options.ws or options.http):
        parser.error("give --ws, --http or both")
    tables = [
        table
        for table in options.table or TABLES
        if (options.http if table == "http" else options.ws) is not None
    ]
    nowhere = Address("127.0.0.1", 0)
    cases = plays(
        tables,
        options.ws or nowhere,
        options.http or nowhere,
        Timing(patience=options.patience),
        options.case or ("*",),
        polite=not options.rude,
    )
    results = asyncio.run(run(cases, options.at_once, deflate_player.WITHIN + CASE))
    print(printed(results, each=options.verbose))
    return 0 if results and all(result.verdict is Verdict.OK for result in results) else 1


_FRAMES = {"autobahn": AUTOBAHN, "beyond": BEYOND, "limits": LIMITS, "frames": COMPRESSED}


def _address(text: str) -> Address:
    url = urlsplit(text if "//" in text else f"//{text}")
    if url.hostname is None:
        raise argparse.ArgumentTypeError(f"expected an address, not {text!r}")
    return Address(url.hostname, url.port or 80, (url.path or "/").encode())


if __name__ == "__main__":
    sys.exit(main())
