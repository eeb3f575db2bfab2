"""What a message costs, counted: `make perf-guard` as a test."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.guard.bounds import Figures, over, read_bounds

BOUNDS: Figures = {"echo": {"instructions": 100.0, "calls": 10.0}}


@pytest.mark.parametrize(
    ("instructions", "calls", "misses"), [(100, 10, 0), (102, 10.2, 0), (103, 10, 1), (103, 11, 2), (1, 1, 0)]
)
def test_over(instructions: float, calls: float, misses: int) -> None:
    found = over({"echo": {"instructions": instructions, "calls": calls}}, BOUNDS)
    assert len(found) == misses
    assert all(line.startswith("echo: ") for line in found)


def test_series_without_a_bound_and_bounds_without_a_series() -> None:
    assert over({"new": {"calls": 1000.0}}, BOUNDS) == []
    assert over({}, BOUNDS) == []


def test_no_message_costs_more_than_it_may() -> None:
    guard = subprocess.run([sys.executable, "-m", "bench.guard"], capture_output=True, text=True, timeout=120)
    print(guard.stdout)
    assert guard.returncode == 0, guard.stdout + guard.stderr
    assert "echo, 32 B" in guard.stdout
    if "NOT COUNTED" in guard.stdout:
        pytest.skip(guard.stdout.partition("NOT COUNTED: ")[2].partition("\n")[0])


PLANTED = """
import longwave
from longwave.app.peer import Peer

deliver = Peer.deliver
source = "def slower(self, piece): str(piece); deliver(self, piece)"
exec(compile(source, longwave.__file__, "exec"))
Peer.deliver = slower
import bench.guard.__main__
"""


def test_one_call_more_for_each_delivery_is_found() -> None:
    assert read_bounds()
    guard = subprocess.run([sys.executable, "-c", PLANTED], capture_output=True, text=True, timeout=120)
    assert guard.returncode == 1
    assert "MORE THAN IT MAY: fan-out, one in flight" in guard.stdout


def test_an_argument_that_there_is_not_is_an_error() -> None:
    guard = subprocess.run(
        [sys.executable, "-m", "bench.guard", "--nonsense"], capture_output=True, text=True
    )
    assert guard.returncode == 2
    assert "unrecognized arguments: --nonsense" in guard.stderr and guard.stdout == ""
