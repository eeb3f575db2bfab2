"""What tests of load and of hostile clients share: the scenarios of `bench/robustness`, as gates.

Their figures stand in docs/topics/robustness.md.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from bench.robustness.target import Target
from tests.e2e.probe import Probe, probing

__all__ = ["TOLERANCE", "many_files", "measuring", "once_more", "scenario", "target_of"]

TOLERANCE = 1.5
"""Times may be so much longer: other programs run on this machine."""

APP = Path(__file__).parents[2] / "bench" / "robustness" / "app"

T = TypeVar("T")


@contextmanager
def many_files() -> Iterator[None]:
    """Let this process open as many connections as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def measuring(folder: Path, env: Mapping[str, Any] | None = None) -> Iterator[Probe]:
    """Serve the project of the scenarios beside that of the tests."""
    with many_files(), probing(folder, str(APP), env=env) as server:
        yield server


def target_of(server: Probe) -> Target:
    """Return the server as the scenarios want it."""
    return Target("longwave", server.port, server.pid)


def scenario(server: Probe, work: Callable[[Target], Coroutine[Any, Any, T]], within: float) -> T:
    """Run a scenario, and see that nothing of it is left in the server."""

    async def limited() -> T:
        async with asyncio.timeout(within):
            return await work(target_of(server))

    with server.unharmed():
        return uvloop.run(limited())


def once_more(measure: Callable[[], T], is_good: Callable[[T], bool]) -> T:
    """Measure; if a time was too long, measure again, and what is good or the third counts."""
    for _ in range(2):
        result = measure()
        if is_good(result):
            return result
    return measure()
