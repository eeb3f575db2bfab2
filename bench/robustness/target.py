"""The server that is measured, as the system sees it: memory, processor time, its port."""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MIB", "Latencies", "Target", "until"]

MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Target:
    """A server that runs: its port and its process. Both must be of this machine."""

    name: str
    port: int
    pid: int

    def rss(self) -> int:
        """Return the memory of the process in bytes."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return the most memory since `forget_peak`, in bytes."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let `peak` begin anew (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu(self) -> float:
        """Return the seconds of processor time that the process has used, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    async def rests(self, within: float = 20.0) -> None:
        """Wait until the process has nothing to do for a moment."""
        until, used = time.monotonic() + within, -1.0
        while used != (used := self.cpu()) and time.monotonic() < until:
            await asyncio.sleep(0.3)

    def files(self) -> int:
        """Return how many files and sockets the process has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert match is not None, name
        return int(match[1]) * 1024


class Latencies:
    """A histogram of times, exact to a tenth of a millisecond up to 100 s: millions of them in 8 MB."""

    STEP = 0.0001

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count one."""
        key = int(seconds / self.STEP)
        self._counts[key] = self._counts.get(key, 0) + times
        self.count += times

    def percentile(self, share: float) -> float:
        """Return the time in seconds that this share (0 to 1) of all does not pass; NaN of none."""
        left = share * self.count
        for key in sorted(self._counts):
            left -= self._counts[key]
            if left <= 0:
                return (key + 1) * self.STEP
        return float("nan")

    @property
    def p50(self) -> float:
        """The median in seconds."""
        return self.percentile(0.5)

    @property
    def p99(self) -> float:
        """In seconds."""
        return self.percentile(0.99)


async def until(moment: float) -> None:
    """Sleep to a moment of the monotonic clock."""
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
