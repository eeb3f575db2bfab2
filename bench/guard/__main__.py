"""`python -m bench.guard`: count what a message costs, and exit with 1 where it costs more than it may."""

from __future__ import annotations

import argparse
import sys

from bench.guard.bounds import over, read_bounds, write_bounds
from bench.guard.count import count_bytecode
from bench.guard.syscalls import Untraceable, count_syscalls


def main() -> int:
    """Count, compare, print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.guard", description="What a message costs, counted."
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="what was counted is the bound from now on; say in bench/log.md why it grew",
    )
    options = parser.parse_args()
    found = count_bytecode()
    try:
        found |= count_syscalls()
    except Untraceable as error:
        print(f"NOT COUNTED: system calls: {error}")
    if options.write:
        write_bounds(found)
    bounds = read_bounds()
    if not bounds:
        print("there are no bounds for this version of Python: nothing is compared")
    for name, values in found.items():
        marks = "  ".join(f"{value:9.2f} {what}" for what, value in values.items())
        print(f"{name:42s} {marks}")
    misses = over(found, bounds)
    for miss in misses:
        print("MORE THAN IT MAY:", miss)
    return 1 if misses else 0


sys.exit(main())
