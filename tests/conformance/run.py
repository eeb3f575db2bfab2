"""Runs the conformance tables against any server: `python -m tests.conformance.run --help`.

What the server has to offer stands in the docstrings of `ws_cases` (an echo), `handshake_cases` (its
subprotocols) and `http_player` (any address, and what its handler saw). It exits with 1 when a case is not
OK.
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

from tests.conformance import handshake_player, http_player, ws_player
from tests.conformance.handshake_cases import HANDSHAKES
from tests.conformance.http_cases import ALL
from tests.conformance.verdicts import Result, Verdict, printed
from tests.conformance.wire import Address, Timing
from tests.conformance.ws_cases import AUTOBAHN, BEYOND, LIMITS

__all__ = ["AT_ONCE", "TABLES", "Play", "main", "plays", "run", "run_tables"]

Play: TypeAlias = Callable[[], Awaitable[Result]]

AT_ONCE = 24
"""Connections at a time."""
CASE = 30.0
"""Seconds for one case; what takes longer is a fault of the runner."""
LONG = 4000
TABLES = ("autobahn", "beyond", "limits", "handshake", "http")


def plays(
    tables: Iterable[str],
    websocket: Address,
    http: Address,
    timing: Timing,
    wanted: Sequence[str] = ("*",),
    *,
    polite: bool = True,
    size: int = 0,
) -> list[Play]:
    """Return the cases of some tables, ready to be played.

    `wanted` are patterns of their ids; what `polite` means stands in `ws_player`. HTTP cases go `size` bytes
    at a time where that is not 0, but for those of `LONG` bytes.
    """
    found: list[Play] = []

    def add(name: str, play: Play) -> None:
        if any(fnmatchcase(name, pattern) for pattern in wanted):
            found.append(play)

    for table in tables:
        for ws in {"autobahn": AUTOBAHN, "beyond": BEYOND, "limits": LIMITS}.get(table, ()):
            add(ws.id, partial(ws_player.play, ws, websocket, timing, polite=polite))
        for request in HANDSHAKES if table == "handshake" else ():
            add(request.id, partial(handshake_player.play, request, websocket, timing))
        for case in ALL if table == "http" else ():
            if not (size and len(case.data) >= LONG):
                add(case.name, partial(http_player.play, case, http, timing, size=size))
    return found


async def run(cases: Sequence[Play], at_once: int = AT_ONCE) -> list[Result]:
    """Play cases, some at a time; results come in the order of the cases."""
    slots = asyncio.Semaphore(at_once)

    async def one(play: Play) -> Result:
        async with slots, asyncio.timeout(CASE):
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
) -> list[Result]:
    """Run tables against a server on a port of this machine, its WebSocket at `/ws`; see `plays`."""
    address = Address("127.0.0.1", port)
    cases = plays(tables, address, address, timing or Timing(), wanted, polite=polite, size=size)
    return asyncio.run(run(cases))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.run", description=__doc__)
    parser.add_argument("--ws", metavar="URL", type=_address, help="the echo, as ws://127.0.0.1:8000/ws")
    parser.add_argument("--http", metavar="HOST:PORT", type=_address, help="the HTTP server")
    parser.add_argument("--table", action="append", choices=TABLES, help="only this one; may be repeated")
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
    results = asyncio.run(run(cases, options.at_once))
    print(printed(results, each=options.verbose))
    return 0 if results and all(result.verdict is Verdict.OK for result in results) else 1


def _address(text: str) -> Address:
    url = urlsplit(text if "//" in text else f"//{text}")
    if url.hostname is None:
        raise argparse.ArgumentTypeError(f"expected an address, not {text!r}")
    return Address(url.hostname, url.port or 80, (url.path or "/").encode())


if __name__ == "__main__":
    sys.exit(main())
