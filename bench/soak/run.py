"""One soak run: a server of its own, its people, and a look at it now and then."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from bench.process import free_port
from bench.robustness.crowd import Crowd, Member, crowd
from bench.robustness.target import Target
from bench.soak.clients import Population, stay, stream_for
from bench.soak.report import Sample, Verdict, judge

__all__ = ["Result", "Size", "serving", "soak"]

APP = Path(__file__).with_name("app")
VISITORS = 60
"""People at a time that come, are rude, and go."""
ASKERS = 20
"""Clients of plain HTTP."""
SETTINGS = {"timeouts.close": 2, "timeouts.ping": 5, "log.level": "silent"}


@dataclass(frozen=True, slots=True)
class Size:
    """How long, and how many stay."""

    seconds: float = 600.0
    websockets: int = 2000
    streams: int = 500


@dataclass(frozen=True, slots=True)
class Result:
    """What there was to see."""

    samples: list[Sample]
    verdict: Verdict
    came: int
    opened: int
    messages: int


def soak(size: Size, tell: Callable[[str], object] = lambda line: None) -> Result:
    """Start a server, keep it busy, and judge what it looked like and what is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with serving(APP, SETTINGS) as target:
            return uvloop.run(_soak(target, size, tell))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def serving(root: Path, settings: dict[str, object]) -> Iterator[Target]:
    """Run `longwave start` on a free port; it must end well."""
    port = free_port()
    names = {f"LONGWAVE_{name.replace('.', '_').upper()}": str(value) for name, value in settings.items()}
    command = [str(Path(sys.executable).with_name("longwave")), "start", str(root)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **names},
        )
        try:
            until = time.monotonic() + 20
            while not _answers(port):
                assert process.poll() is None and time.monotonic() < until, "the server does not answer"
                time.sleep(0.05)
            yield Target("longwave", port, process.pid)
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
            assert code == 0, f"the server ended with {code}"
        finally:
            process.kill()
            process.wait()


async def _soak(target: Target, size: Size, tell: Callable[[str], object]) -> Result:
    # Once around, so that what is made once is there.
    await _live(
        target,
        Size(min(2.0, size.seconds / 3), min(50, size.websockets), min(20, size.streams)),
        lambda line: None,
        [],
    )
    before = await _settled(target, None)
    samples: list[Sample] = []
    population = await _live(target, size, tell, samples)
    after = await _settled(target, before)
    verdict = judge(samples, before, after)
    if population.troubles:
        kinds = sorted(set(population.troubles))
        verdict.faults.append(f"{len(population.troubles)} troubles of clients: {'; '.join(kinds[:5])}")
    return Result(samples, verdict, population.came, after["opened"], after["messages"])


async def _live(
    target: Target, size: Size, tell: Callable[[str], object], samples: list[Sample]
) -> Population:
    """Keep the server busy for so long, and look at it a few hundred times."""
    population = Population(target.port)
    async with crowd(target.port) as people:
        members = await stay(people, size.websockets)
        chance = population.random
        for _ in range(size.streams):
            # Most of them stay for a while; some for a moment.
            population.run(
                lambda: stream_for(target.port, f"room+{chance.randrange(200)}", chance.expovariate(1 / 20))
            )
        population.run(*(population.rude for _ in range(VISITORS)), *(population.ask for _ in range(ASKERS)))
        population.run(partial(_talk, members, population), partial(_move, people, members, population))
        began = time.monotonic()
        pause, told = max(0.25, size.seconds / 400), 0.0
        while (passed := time.monotonic() - began) < size.seconds:
            await asyncio.sleep(pause)
            counts = await asyncio.to_thread(_stats, target.port)
            samples.append(Sample(time.monotonic() - began, target.rss(), counts["opened"], counts))
            if passed - told >= 30:
                told = passed
                shown = {name: counts[name] for name in ("connections", "tasks", "files", "topics", "opened")}
                tell(f"{passed:5.0f} s  {target.rss() / 2**20:6.1f} MiB  {shown}")
        await population.end()
    return population


async def _talk(members: list[Member], population: Population) -> None:
    """Join, leave, speak: some of those who stay, all the time."""
    chance = population.random
    for _ in range(20):
        member = chance.choice(members)
        room = chance.randrange(200)
        what = chance.choice((f"join room {room}", f"leave room {room}", f"say room {room}", "back, please"))
        member.send(what.encode())
    members[0].send(b"say all how are you all")
    await asyncio.sleep(0.1)


async def _move(people: Crowd, members: list[Member], population: Population) -> None:
    """Replace one of those who stay, now with and now without a goodbye."""
    at = population.random.randrange(len(members))
    gone = members[at]
    if population.random.random() < 0.5:
        gone.send(b"\x03\xe8", 8)
    else:
        gone.transport.abort()
    await gone.done
    people.members.remove(gone)
    # The index is free for the talkers only when somebody sits there again.
    members[at] = await people.join("/room", Member)
    await asyncio.sleep(0.05)


def _stats(port: int, query: str = "") -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", f"/stats{query}", headers={"Connection": "close"})
        stats: dict[str, int] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return stats


async def _settled(target: Target, wanted: dict[str, int] | None, within: float = 15.0) -> dict[str, int]:
    """Return the counts once nobody is there, or what there is when patience ends."""
    until = time.monotonic() + within
    while True:
        await asyncio.sleep(0.25)
        counts = await asyncio.to_thread(_stats, target.port, "?collect=1")
        empty = counts["connections"] == 1 and not counts["peers"] and not counts["streams"]
        if empty and (
            wanted is None or all(counts[name] <= wanted[name] for name in ("files", "tasks", "topics"))
        ):
            return counts
        if time.monotonic() > until:
            return counts


def _answers(port: int) -> bool:
    try:
        _stats(port)
    except (OSError, http.client.HTTPException):
        return False
    return True
