"""What a message costs, counted: `make perf-guard` as a test."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.guard.bounds import Figures, over, read_bounds
from bench.guard.syscalls import MESSAGES, _counts

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


def test_a_wait_that_its_time_has_ended_is_nobodys() -> None:
    """Of how many there are of these, a message knows nothing."""
    wait = "7 epoll_pwait(5<anon_inode:[eventpoll]>, [{}], 1024, {}, NULL, 8) = {}\n"
    read = '7 read(9<TCP:[127.0.0.1:80->127.0.0.1:9]>, "{}"..., 262144) = 60\n'
    over, none, some = wait.format("", 250, 0), wait.format("", 0, 0), wait.format("{events=EPOLLIN}", 250, 1)
    messages = (over + none + some + read.format("x")) * MESSAGES
    log = read.format("GET /begin%20echo HTTP/1.1") + messages + read.format("GET /end HTTP/1.1")
    assert _counts(log) == {"echo": {"reads": 1, "writes": 0, "waits": 2, "epoll_ctl": 0}}
