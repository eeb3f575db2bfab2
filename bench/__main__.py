"""`python -m bench [ROW ...]`: measure Longwave beside its peers.

Without rows: all of them, into `bench/results.md`, `results.json` and `plots/`. With rows, `--quick` or
`--peers`: those, into `.bench/`, unless `--merge` puts them into the results of all.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from pathlib import Path

from bench.kit import ROOT, Kit
from bench.plots import draw
from bench.process import cores
from bench.report import summary, write
from bench.results import Results, facts
from bench.rows import QUICK, QUICK_SERVERS, ROWS, Row
from bench.run import estimate, run_row
from bench.servers import OURS, SERVERS

BENCH = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Measure and write down; exits with 1 where Longwave itself failed."""
    options = _parser().parse_args(arguments)
    rows = _chosen(options.rows or (QUICK if options.quick else [row.name for row in ROWS]))
    peers = tuple(options.peers.split(",")) if options.peers else QUICK_SERVERS if options.quick else ()
    if unknown := set(peers) - set(SERVERS):
        sys.exit(f"bench: no peer {', '.join(sorted(unknown))}; there are {', '.join(SERVERS)}")
    rounds = options.rounds or (3 if options.quick else None)
    seconds = options.seconds or (0.5 if options.quick else 1.0)
    whole = not options.rows and not peers
    folder = BENCH if whole or options.merge else ROOT / ".bench" / "results"
    kit = Kit(options.python)
    if options.draw:
        return _finish(Results.load(folder / "results.json"), folder)
    # Servers have process groups of their own: an end of ours must go through the code that ends them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Children inherit both.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    where = cores()
    os.sched_setaffinity(0, where.client)
    needs = {SERVERS[name].needs for row in rows for name in _names(row, peers)}
    kit.prepare(sorted(needs | {"cc", "python"}), _tell)
    for part in ("cc", "python"):
        if part in kit.missing:
            print(f"bench: {kit.missing[part]}", file=sys.stderr)
            return 1
    results = Results.load(folder / "results.json") if options.merge else Results()
    results.facts = facts(kit) | {"seconds": seconds}
    _tell(f"{len(rows)} rows, about {estimate(rows, peers, rounds, seconds) / 60:.0f} minutes; {where}")
    for row in rows:
        began = time.monotonic()
        results.rows[row.name] = run_row(
            kit, row, _names(row, peers), rounds or row.rounds, seconds, where, _tell
        )
        results.save(folder / "results.json")
        print(summary(row, results.rows[row.name], time.monotonic() - began), flush=True)
    return _finish(results, folder)


def _finish(results: Results, folder: Path) -> int:
    pictures = draw(
        results, folder / "plots", ROOT / "docs" / "images" / "speed.png" if folder == BENCH else None
    )
    if not pictures:
        _tell("no pictures: matplotlib is in the extra `bench`")
    write(folder / "results.md", results, pictures)
    _tell(f"written: {folder / 'results.md'}")
    return int(any(outcome.error for servers in results.rows.values() for name, outcome in servers.items()
                   if name == OURS))  # fmt: skip


def _names(row: Row, peers: tuple[str, ...]) -> list[str]:
    return [name for name in row.servers if not peers or name in peers or name == row.subject]


def _chosen(names: list[str] | tuple[str, ...]) -> list[Row]:
    found = [row for row in ROWS if row.name in names or row.group in names]
    unknown = set(names) - {row.name for row in found} - {row.group for row in found}
    if unknown:
        sys.exit(
            f"bench: no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}"
        )
    return found


def _tell(line: str) -> None:
    print(f"bench: {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Longwave beside its peers.")
    parser.add_argument("rows", nargs="*", help="rows or groups of rows; all without")
    parser.add_argument("--rounds", type=int, help="rounds of each row, 11 or fewer where that is long")
    parser.add_argument("--seconds", type=float, help="counted seconds of each measurement (1)")
    parser.add_argument("--peers", help="only these servers, by name, with commas")
    parser.add_argument("--quick", action="store_true", help="the main rows in about two minutes")
    parser.add_argument("--merge", action="store_true", help="put the rows into bench/results.json")
    parser.add_argument(
        "--draw", action="store_true", help="measure nothing: write report and pictures again"
    )
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the Python servers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
