"""The supervisor, with workers that are small scripts."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from longwave.dev.failures import Failure
from longwave.dev.supervisor import STOP_LIMIT, Start, Supervisor
from longwave.errors import ConfigError

SOON = 3.0
"""Seconds: the end takes less than one, and a busy machine may add to it."""

WORKER = """
import json, os, socket, sys, time
root, line = sys.argv[1], socket.socket(fileno=int(sys.argv[-1]))
def say(**message):
    line.sendall(json.dumps(message).encode() + b"\\n")
exec(open(root + "/program.py").read())
"""
SERVES = """
say(kind="ready", pid=os.getpid())
stop = line.recv(4096)
open(root + "/stopped", "ab").write(stop)
"""
FAILS = """
say(kind="failed", failure={"text": "no", "file": "a.py", "line": 3, "code": "x"})
raise SystemExit(1)
"""
DEAF = """
say(kind="ready", pid=os.getpid())
time.sleep(60)
"""


class Screen:
    """A display that keeps what it is told; `next` waits for it."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def ready(self, message: Mapping[str, Any], seconds: float, changed: Sequence[str]) -> None:
        self.told.put_nowait(("ready", message["pid"], tuple(changed)))

    def failed(self, failure: Failure, changed: Sequence[str]) -> None:
        self.told.put_nowait(("failed", failure, tuple(changed)))

    def died(self, code: int) -> None:
        self.told.put_nowait(("died", code))

    def notice(self, text: str) -> None:
        raise AssertionError(text)

    async def next(self) -> tuple[Any, ...]:
        async with asyncio.timeout(10):
            return await self.told.get()


class Running:
    """A supervisor that runs, and what it showed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.screen = Screen()
        self.problem: str | None = None
        self.sockets: list[socket.socket] = []
        self.task = asyncio.create_task(Supervisor(root, self.prepare, self.screen).run())

    def prepare(self) -> Start:
        if self.problem is not None:
            raise ConfigError(self.problem)
        return Start([sys.executable, "-S", "-c", WORKER, str(self.root)], self.sockets)

    def program(self, text: str) -> None:
        (self.root / "program.py").write_text(text)

    @property
    def stopped(self) -> str:
        return (self.root / "stopped").read_text()


@asynccontextmanager
async def running(root: Path, program: str) -> AsyncIterator[Running]:
    (root / "program.py").write_text(program)
    run = Running(root)
    try:
        yield run
    finally:
        if not run.task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await run.task == 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_serves_until_a_signal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            kind, pid, changed = await run.screen.next()
            assert (kind, changed) == ("ready", ())
            assert alive(pid)
            began = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
            assert await run.task == 0
            assert time.monotonic() - began < SOON
            assert not alive(pid)
            assert '"code": 1001' in run.stopped

    asyncio.run(scenario())


def test_a_change_starts_another_worker(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            _, first, _ = await run.screen.next()
            run.program(SERVES + "# changed")
            kind, second, changed = await run.screen.next()
            assert (kind, changed) == ("ready", ("program.py",))
            assert first != second
            assert not alive(first)
            assert '"code": 1012' in run.stopped

    asyncio.run(scenario())


def test_a_worker_that_does_not_stop_is_killed_within_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, DEAF) as run:
            assert STOP_LIMIT < 1
            _, pid, _ = await run.screen.next()
            began = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
            assert await run.task == 0
            assert time.monotonic() - began < SOON
            assert not alive(pid)

    asyncio.run(scenario())


def test_a_failed_start_waits_for_the_next_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, FAILS) as run:
            assert await run.screen.next() == ("failed", Failure("no", "a.py", 3, "x"), ())
            run.program(SERVES)
            assert (await run.screen.next())[0] == "ready"

    asyncio.run(scenario())


def test_a_configuration_that_is_broken_waits_for_the_next_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            await run.screen.next()
            run.problem = "longwave.config.py: no"
            run.program(SERVES + "# 1")
            kind, failure, changed = await run.screen.next()
            assert (kind, failure.text, changed) == ("failed", "longwave.config.py: no", ("program.py",))
            run.problem = None
            run.program(SERVES + "# 2")
            assert (await run.screen.next())[0] == "ready"

    asyncio.run(scenario())


@pytest.mark.parametrize(("ends", "code"), [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 9)", -9)])
def test_a_worker_that_dies_is_told_and_waited_for(tmp_path: Path, ends: str, code: int) -> None:
    async def scenario() -> None:
        async with running(tmp_path, f"say(kind='ready', pid=1)\n{ends}") as run:
            assert (await run.screen.next())[0] == "ready"
            assert await run.screen.next() == ("died", code)
            run.program(SERVES)
            assert (await run.screen.next())[0] == "ready"

    asyncio.run(scenario())


def test_the_socket_stays_open_between_workers(tmp_path: Path) -> None:
    answers = """
say(kind="ready", pid=os.getpid())
listening = socket.socket(fileno=FD)
listening.settimeout(0.05)
line.setblocking(False)
while True:
    try:
        client = listening.accept()[0]
        client.sendall(b"%d" % os.getpid())
        client.close()
    except TimeoutError:
        pass
    try:
        line.recv(4096)
        break
    except BlockingIOError:
        pass
"""

    async def ask(port: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = await reader.read()
        writer.close()
        return int(data)

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            program = answers.replace("FD", str(listening.fileno()))
            (tmp_path / "program.py").write_text(program)
            run = Running(tmp_path)
            run.sockets = [listening]
            _, first, _ = await run.screen.next()
            assert await ask(port) == first
            run.program("time.sleep(0.3)\n" + program)
            answers_seen: list[int] = []
            async with asyncio.timeout(10):
                # Asked without a pause, over the restart: no connection is ever refused.
                while not answers_seen or answers_seen[-1] == first:
                    answers_seen.append(await ask(port))
            _, second, _ = await run.screen.next()
            assert answers_seen[-1] == second
            os.kill(os.getpid(), signal.SIGTERM)
            assert await run.task == 0

    asyncio.run(scenario())
