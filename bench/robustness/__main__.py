"""`python -m bench.robustness`: checks 12 to 19 of Longwave beside uvicorn, written into the documentation.

ROBUSTNESS_SCALE is a part of the full length, such as 0.1 for a quick look; then nothing is written.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import uvloop

from bench.robustness.idle import idle
from bench.robustness.load import fan_out, overload
from bench.robustness.memory import deflate_bomb, fragments, unfinished
from bench.robustness.servers import longwave, uvicorn
from bench.robustness.slow import Kept, dead_peers, slow_requests
from bench.robustness.subscriber import slow_subscriber
from bench.robustness.target import MIB, Target
from bench.soak.report import machine

PAGE = Path(__file__).parents[2] / "docs" / "topics" / "robustness.md"
BEGIN, END = "<!-- figures: make robustness -->\n", "<!-- end of figures -->\n"
CAP = 32
"""Connections that may be open at a time in check 14."""
PATIENCE = 60.0
LONGEST = 240.0
"""Seconds after which a scenario is given up."""

Rows: TypeAlias = dict[tuple[str, str], str]
"""Check and what was measured, to the figure as it is shown."""
Measure: TypeAlias = Callable[[Target, float], Coroutine[Any, Any, Rows]]
Serve: TypeAlias = Callable[..., AbstractContextManager[Target]]


SERVERS: tuple[tuple[str, Serve, dict[str, dict[str, Any]]], ...] = (
    ("Longwave", longwave, {"_overload": {"limits_connections": CAP}}),
    (
        "uvicorn",
        uvicorn,
        {"_overload": {"limit_concurrency": CAP}, "_bomb": {"ws_per_message_deflate": True}},
    ),
)
"""What is measured, how it is started, and the settings that one scenario has beside the others."""


def main() -> int:
    """Measure both, one after the other for each check, and write the table."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    scale = float(os.environ.get("ROBUSTNESS_SCALE", "1"))
    columns: dict[str, Rows] = {"Longwave": {}, "uvicorn": {}}
    complete = True
    for name, serve, special in SERVERS:
        for measure in MEASURES:
            rows = _measured(name, measure, scale, partial(serve, **special.get(measure.__name__, {})))
            columns[name].update(rows or {})
            complete = complete and rows is not None
    table = _table(columns)
    print(table)
    if not complete:
        print("a scenario failed twice; nothing was written")
        return 1
    if scale == 1:
        _write(table)
        print(f"written to {PAGE}")
    return 0


def _measured(name: str, measure: Measure, scale: float, serve: Serve) -> Rows | None:
    """Run one scenario, a second time where it fails; None where it fails twice."""
    for _ in range(2):
        began = time.monotonic()
        try:
            with serve() as target:
                rows = uvloop.run(asyncio.wait_for(measure(target, scale), LONGEST))
        except Exception:
            traceback.print_exc()
        else:
            print(f"{name}: {measure.__name__[1:]} in {time.monotonic() - began:.0f} s", flush=True)
            return rows
    return None


async def _idle(target: Target, scale: float) -> Rows:
    result = await idle(target, 5000, 40 * scale)
    what = "12: 5 000 idle WebSockets"
    return {
        (what, "open after"): f"{result.opened_in:.1f} s",
        (what, "memory of each"): f"{result.bytes_each / 1024:.1f} KiB",
        (what, "processor while idle"): f"{100 * result.cpu:.1f} %",
    }


async def _fan_out(target: Target, scale: float) -> Rows:
    result = await fan_out(target, 2000, 20, 60 * scale)
    what = "13: one speaks to 2 000, 256 B, 20 a second, 60 s"
    return {
        (what, "lost or out of order"): f"{result.expected - result.got + result.wrong} of {result.expected}",
        (what, "p50"): _ms(result.p50),
        (what, "p99"): _ms(result.p99),
    }


async def _overload(target: Target, scale: float) -> Rows:
    result = await overload(target, 30 * scale, patience=30)
    what = f"14: four times as many requests as can be answered, 30 s, at most {CAP} connections"
    statuses = ", ".join(f"{count} x {status}" for status, count in result.statuses.most_common())
    back = "not within 30 s" if result.recovered_in is None else f"after {result.recovered_in:.1f} s"
    return {
        (what, "answers"): statuses,
        (what, "p99 of what got a 200"): _seconds(result.accepted.p99),
        (what, "as quick as before"): back,
    }


async def _slow(target: Target, scale: float) -> Rows:
    """Both at once: nearly all of it is waiting."""
    patience = PATIENCE if scale == 1 else 5.0
    requests, peers = await asyncio.gather(
        slow_requests(target, 50, patience), dead_peers(target, 50, patience)
    )
    rows: Rows = {}
    for what, kinds in (("15: clients that are slow", requests), ("16: peers that are dead", peers)):
        rows.update({(what, f"{name}: closed after"): _kept(kept, patience) for name, kept in kinds.items()})
    return rows


async def _bomb(target: Target, scale: float) -> Rows:
    what = "17: 1 GiB of zeros, compressed to 1 MB"
    rows: Rows = {}
    for kind, pieces, takeover in (
        ("whole", 1, False),
        ("in 1 000 fragments", 1000, False),
        ("with context takeover", 1, True),
    ):
        result = await deflate_bomb(target, 1024 * MIB, pieces=pieces, takeover=takeover)
        if result is None:
            rows[what, kind] = "compression is not negotiated"
        else:
            answer = "no answer" if result.code is None else f"{result.code} after {result.seconds:.2f} s"
            rows[what, kind] = f"{answer}, {_mib(result.grown)}"
    return rows


async def _greedy(target: Target, scale: float) -> Rows:
    first = await fragments(target, 1_000_000)
    many = await unfinished(target, 1000, int(0.9 * MIB))
    one, two = "18: a million fragments of one byte", "18: 1 000 times 0.9 MiB of an unfinished message"
    kept = many.codes[None]
    return {
        (one, "answer"): "none" if first.code is None else f"{first.code} after {first.sent // 1024} KiB",
        (one, "memory at most"): _mib(first.grown),
        (two, "answer"): f"{many.codes[1009]} x 1009, {kept} kept",
        (two, "memory at most"): _mib(many.grown),
    }


async def _subscriber(target: Target, scale: float) -> Rows:
    async def ask(what: str) -> int:
        found = await asyncio.to_thread(_ask, target.port, "/bench/room")
        return int(found.get(what, 0))

    async def is_cut() -> bool:
        return await ask("overflows") > 0

    result = await slow_subscriber(
        target,
        500,
        100,
        (10 * scale, 60 * scale),
        buffered=lambda: ask("buffered"),
        is_cut=is_cut,
        after=10 * scale,
    )
    what = "19: one of 500 stops to read, at 100 messages of 1 KiB a second"
    waits = "never" if result.cut_after is None else f"after {result.cut_after:.0f} s"
    return {
        (what, "the others' p99 before"): _ms(result.before),
        (what, "the others' p99 meanwhile"): _ms(result.during),
        (what, "what the others lost"): str(result.lost),
        (what, "most that waited for the slow one"): f"{result.buffered / 1024:.0f} KiB",
        (what, "the policy was applied"): waits,
        (what, "what the slow one was told"): "nothing" if result.code is None else str(result.code),
    }


def _ask(port: int, path: str) -> dict[str, Any]:
    """Ask what an endpoint knows; a server that has no room for the question says nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        content = connection.getresponse().read()
    except OSError:
        return {}
    finally:
        connection.close()
    found: dict[str, Any] = json.loads(content) if content else {}
    return found


def _kept(kept: Kept, patience: float) -> str:
    if kept.last == float("inf"):
        closed = f", {len(kept.seconds)} of {kept.count} closed" if kept.seconds else ""
        return f"not within {patience:g} s{closed}"
    return f"{kept.last:.1f} s"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds == seconds else "-"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds == seconds else "-"


def _mib(size: int) -> str:
    return f"{size / MIB:+.1f} MiB"


def _table(columns: dict[str, Rows]) -> str:
    names = list(columns)
    versions = {"Longwave": version("longwave"), "uvicorn": version("uvicorn")}
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}; {machine()}.",
        "",
        f"| | | {' | '.join(f'{name} {versions[name]}' for name in names)} |",
        "|---|---|---|---|",
    ]
    last = ""
    for what, detail in columns[names[0]]:
        cells = [columns[name].get((what, detail), "-") for name in names]
        lines.append(f"| {what if what != last else ''} | {detail} | {' | '.join(cells)} |")
        last = what
    return "\n".join(lines) + "\n"


def _write(table: str) -> None:
    text = PAGE.read_text()
    between = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)
    assert between.search(text), f"{PAGE} has no place for the figures"
    PAGE.write_text(between.sub(lambda _: f"\n{table}\n", text))


MEASURES: tuple[Measure, ...] = (_idle, _fan_out, _overload, _slow, _bomb, _greedy, _subscriber)

if __name__ == "__main__":
    sys.exit(main())
