"""`python -m bench.soak`: run it, judge it, write it down; exits with 1 where something grows or is left.

SOAK_SECONDS is how long (600), SOAK_WEBSOCKETS and SOAK_STREAMS how many stay (2000, 500).
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.soak.report import machine, plot, write
from bench.soak.run import Size, soak

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "results" / "soak.md"
PICTURE = ROOT / "docs" / "images" / "soak.png"


def main() -> int:
    """Run and report."""
    size = Size(
        seconds=float(os.environ.get("SOAK_SECONDS", "600")),
        websockets=int(os.environ.get("SOAK_WEBSOCKETS", "2000")),
        streams=int(os.environ.get("SOAK_STREAMS", "500")),
    )
    print(
        f"soak: {size.seconds:g} s with {size.websockets} WebSockets and {size.streams} streams", flush=True
    )
    result = soak(size, tell=lambda line: print(line, flush=True))
    verdict = result.verdict
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine(),
        "length": f"{size.seconds:g} s",
        "who stays": f"{size.websockets} WebSockets, {size.streams} event streams",
        "who comes and goes": f"{result.came} visits, {result.opened} connections in all",
        "messages received by the server": str(result.messages),
    }
    drawn = plot(PICTURE, result.samples)
    if not drawn:
        print("soak: no picture; matplotlib is in the extra `bench`")
    write(PAGE, verdict, result.samples, facts, "../images/soak.png" if drawn else "")
    for fault in verdict.faults:
        print(f"soak: {fault}", file=sys.stderr)
    print(f"soak: {'failed' if verdict.faults else 'nothing grows, nothing is left'}; {PAGE}")
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
