"""Check 12: many WebSockets that say nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.robustness.crowd import Member, crowd
from bench.robustness.target import Target

__all__ = ["Idle", "idle"]


@dataclass(frozen=True, slots=True)
class Idle:
    """What so many connections cost."""

    count: int
    opened_in: float
    """Seconds."""
    bytes_each: float
    cpu: float
    """Share of one processor while nothing is said."""
    pings: int
    """Pings that were answered meanwhile."""
    left: int
    """Connections that are still open."""


async def idle(target: Target, count: int, seconds: float, path: str = "/bench/echo") -> Idle:
    """Open so many WebSockets as Chrome would, and leave them alone for so long."""
    async with crowd(target.port) as warm:
        await warm.fill(path, Member, 50, deflate=True)
    await asyncio.sleep(0.3)
    before = target.rss()
    async with crowd(target.port) as people:
        began = time.monotonic()
        members = await people.fill(path, Member, count, deflate=True)
        opened_in = time.monotonic() - began
        await asyncio.sleep(0.3)
        each = (target.rss() - before) / count
        cpu, began = target.cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        used = (target.cpu() - cpu) / (time.monotonic() - began)
        return Idle(
            count=count,
            opened_in=opened_in,
            bytes_each=each,
            cpu=used,
            pings=sum(member.pings for member in members),
            left=sum(member.ended is None for member in members),
        )
