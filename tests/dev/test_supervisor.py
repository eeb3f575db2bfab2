"""The supervisor, with workers that are small scripts."""

from __future__ import annotations

import asyncio
import json
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
from longwave.dev.feed import Failed, News, Page, Restart, Swapped, decode_news
from longwave.dev.supervisor import STOP_LIMIT, Start, Supervisor
from longwave.errors import ConfigError

SOON = 3.0
"""Seconds: the end takes less than one, and a busy machine may add to it."""

WORKER = """
import json, os, select, socket, sys, time
root, line = sys.argv[1], socket.socket(fileno=int(sys.argv[-1]))
def say(**message):
    line.sendall(json.dumps(message).encode() + b"\\n")
told = line.makefile("r")
def hear():
    return json.loads(told.readline())
def load():
    say(kind="loaded")
    message = hear()
    if message["kind"] != "go":
        raise SystemExit(0)
exec(open(root + "/program.py").read())
"""
SERVES = """
load()
say(kind="ready", pid=os.getpid())
while (message := hear())["kind"] in ("changed", "news"):
    if message["kind"] == "news":
        open(root + "/heard", "a").write(json.dumps(message["news"]) + "\\n")
        continue
    files = [os.path.basename(file) for file in message["files"]]
    if files == ["style.css"]:
        say(kind="news", news={"type": "Page", "files": files, "does_reload": False, "open": 2})
    elif files == ["plugin.py"]:
        say(kind="news", news={"type": "Restart", "files": files, "why": "it is one"})
    elif files == ["bad.py"]:
        say(kind="news", news={"type": "Failed", "files": files, "failure": {"text": "bad"}})
    else:
        say(kind="news", news={"type": "Swapped", "files": files, "seconds": 0.5, "kept": 3})
open(root + "/stopped", "a").write(json.dumps(message))
"""
FAILS = """
say(kind="failed", failure={"text": "no", "file": "a.py", "line": 3, "code": "x"}, is_taken=False)
raise SystemExit(1)
"""
DEAF = """
load()
say(kind="ready", pid=os.getpid())
time.sleep(60)
"""


class Screen:
    """A display that keeps what it is told; `next` waits for it."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.why: list[str] = []

    def ready(self, message: Mapping[str, Any], seconds: float, changed: Sequence[str], why: str) -> None:
        self.told.put_nowait(("ready", message["pid"], tuple(changed)))
        self.why.append(why)

    def interrupted(self) -> None:
        self.told.put_nowait(("interrupted",))

    def swapped(self, news: Swapped) -> None:
        self.told.put_nowait(("swapped", news))

    def page(self, news: Page) -> None:
        self.told.put_nowait(("page", news))

    def failed(self, failure: Failure, changed: Sequence[str], serving: bool) -> None:
        self.told.put_nowait(("failed", failure, tuple(changed), serving))

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
        # The program of the worker itself is a setting: all else it is told of.
        self.supervisor = Supervisor(
            root, self.prepare, self.screen, (), lambda path: path.name == "program.py"
        )
        self.task = asyncio.create_task(self.supervisor.run())

    def prepare(self) -> Start:
        if self.problem is not None:
            raise ConfigError(self.problem)
        return Start([sys.executable, "-S", "-c", WORKER, str(self.root)], self.sockets)

    def program(self, text: str) -> None:
        (self.root / "program.py").write_text(text)

    def edit(self, name: str) -> None:
        (self.root / name).write_text("")

    @property
    def heard(self) -> list[News]:
        """What the workers were told of what they do not see."""
        return [decode_news(json.loads(line)) for line in (self.root / "heard").read_text().splitlines()]

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


def test_a_person_restarts_and_stops_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            _, first, _ = await run.screen.next()
            run.supervisor.restart()
            kind, second, changed = await run.screen.next()
            assert (kind, changed) == ("ready", ())
            assert first != second
            assert not alive(first)
            assert '"code": 1012' in run.stopped
            run.supervisor.stop()
            assert await run.task == 0
            assert not alive(second)

    asyncio.run(scenario())


def test_why_a_change_took_another_worker_is_told_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            await run.screen.next()
            run.edit("plugin.py")
            await run.screen.next()
            run.supervisor.restart()
            await run.screen.next()
            assert run.screen.why == ["", "it is one", ""]

    asyncio.run(scenario())


def test_what_the_worker_wrote_is_told_before_its_news(tmp_path: Path) -> None:
    writes = SERVES.replace('say(kind="news", news={"type": "Swapped"', WRITES)

    async def scenario() -> None:
        async with running(tmp_path, writes) as run:
            await run.screen.next()
            run.edit("a.py")
            assert await run.screen.next() == ("interrupted",)
            assert (await run.screen.next())[0] == "swapped"
            run.edit("b.py")
            assert (await run.screen.next())[0] == "swapped"

    asyncio.run(scenario())


WRITES = 'say(kind="news", has_written=files == ["a.py"], news={"type": "Swapped"'


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
            assert await run.screen.next() == ("failed", Failure("no", "a.py", 3, "x"), (), False)
            run.program(SERVES)
            assert (await run.screen.next())[0] == "ready"

    asyncio.run(scenario())


def test_a_configuration_that_is_broken_waits_for_the_next_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            await run.screen.next()
            run.problem = "longwave.config.py: no"
            run.program(SERVES + "# 1")
            kind, failure, changed, serving = await run.screen.next()
            assert (kind, failure.text, changed) == ("failed", "longwave.config.py: no", ("program.py",))
            assert serving
            run.problem = None
            run.program(SERVES + "# 2")
            assert (await run.screen.next())[0] == "ready"

    asyncio.run(scenario())


@pytest.mark.parametrize(("ends", "code"), [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 9)", -9)])
def test_a_worker_that_dies_is_told_and_waited_for(tmp_path: Path, ends: str, code: int) -> None:
    async def scenario() -> None:
        async with running(tmp_path, f"load()\nsay(kind='ready', pid=1)\n{ends}") as run:
            assert (await run.screen.next())[0] == "ready"
            assert await run.screen.next() == ("died", code)
            run.program(SERVES)
            assert (await run.screen.next())[0] == "ready"

    asyncio.run(scenario())


def test_the_worker_is_told_of_changes_and_what_it_says_is_shown(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            _, pid, _ = await run.screen.next()
            run.edit("chat.py")
            assert await run.screen.next() == ("swapped", Swapped(("chat.py",), 0.5, kept=3))
            run.edit("bad.py")
            assert await run.screen.next() == ("failed", Failure("bad"), ("bad.py",), True)
            assert alive(pid)

    asyncio.run(scenario())


def test_files_of_pages_never_start_another_worker(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()

    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            _, pid, _ = await run.screen.next()
            # Not even where the next worker could not be loaded, or where a setting would have that name.
            run.problem = "no"
            run.program(SERVES + "# changed")
            assert (await run.screen.next())[0] == "failed"
            for _ in range(2):
                run.edit("public/style.css")
                assert await run.screen.next() == ("page", Page(("style.css",), False, 2))
            run.edit("public/program.py")
            assert await run.screen.next() == ("swapped", Swapped(("program.py",), 0.5, kept=3))
            assert alive(pid)

    asyncio.run(scenario())


def test_files_of_pages_wait_for_a_worker_that_begins(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    # Pages may be served before the supervisor hears that they are.
    early = SERVES.replace("load()", "load()\nopen(root + '/public/a', 'w').close()\ntime.sleep(0.2)", 1)

    async def scenario() -> None:
        async with running(tmp_path, early) as run:
            assert (await run.screen.next())[0] == "ready"
            kind, news = await run.screen.next()
            assert (kind, news.files) == ("swapped", ("a",))

    asyncio.run(scenario())


def test_the_worker_that_serves_is_told_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()

    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            await run.screen.next()
            run.problem = "longwave.config.py: no"
            run.program(SERVES + "# 1")
            assert (await run.screen.next())[0] == "failed"
            run.problem = None
            run.program(FAILS)
            assert (await run.screen.next())[0] == "failed"
            # It hears one after the other.
            run.edit("public/style.css")
            assert (await run.screen.next())[0] == "page"
            names = ("program.py",)
            restart = Restart(names, "program.py is read at the start")
            assert run.heard == [
                restart,
                Failed(names, Failure("longwave.config.py: no"), is_next=True),
                restart,
                Failed(names, Failure("no", "a.py", 3, "x"), is_next=True),
            ]

    asyncio.run(scenario())


def test_a_worker_that_asks_for_it_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            _, first, _ = await run.screen.next()
            run.edit("plugin.py")
            kind, second, changed = await run.screen.next()
            assert (kind, changed) == ("ready", ("plugin.py",))
            assert first != second
            assert '"code": 1012' in run.stopped

    asyncio.run(scenario())


def test_a_worker_serves_until_the_next_has_loaded_its_code(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            _, first, _ = await run.screen.next()
            run.program(FAILS)
            failed = ("failed", Failure("no", "a.py", 3, "x"), ("program.py",), True)
            assert await run.screen.next() == failed
            assert alive(first)
            # It goes on to swap, and with each change the next one is tried again.
            run.edit("chat.py")
            told = [await run.screen.next(), await run.screen.next()]
            assert ("swapped", Swapped(("chat.py",), 0.5, kept=3)) in told
            assert ("failed", failed[1], ("chat.py", "program.py"), True) in told
            run.program(SERVES)
            assert (await run.screen.next())[0] == "ready"
            assert not alive(first)

    asyncio.run(scenario())


def test_the_next_worker_gets_what_the_one_before_holds(tmp_path: Path) -> None:
    wants = f"""
import errno
port = socket.socket()
try:
    port.bind(("127.0.0.1", PORT))
except OSError:
    say(kind="failed", failure={{"text": "taken"}}, is_taken=True)
    raise SystemExit(1)
{SERVES}
"""

    async def scenario() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            number = probe.getsockname()[1]
        program = wants.replace("PORT", str(number))
        async with running(tmp_path, program) as run:
            _, first, _ = await run.screen.next()
            run.program(program + "# changed")
            kind, second, changed = await run.screen.next()
            assert (kind, changed) == ("ready", ("program.py",))
            assert first != second

    asyncio.run(scenario())


def test_a_change_while_the_next_worker_loads_starts_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SERVES) as run:
            _, first, _ = await run.screen.next()
            run.program("open(root + '/loading', 'w').close()\ntime.sleep(60)\n")
            async with asyncio.timeout(10):
                while not (tmp_path / "loading").exists():
                    await asyncio.sleep(0.01)
            assert alive(first)
            run.program(SERVES + "# mended")
            kind, second, _ = await run.screen.next()
            assert (kind, alive(first), alive(second)) == ("ready", False, True)

    asyncio.run(scenario())


def test_the_socket_stays_open_between_workers(tmp_path: Path) -> None:
    answers = """
load()
say(kind="ready", pid=os.getpid())
listening = socket.socket(fileno=FD)
listening.settimeout(0.05)
ended = select.poll()
ended.register(line, select.POLLIN)
while True:
    try:
        client = listening.accept()[0]
        client.sendall(b"%d" % os.getpid())
        client.close()
    except TimeoutError:
        pass
    if ended.poll(0) and hear()["kind"] == "stop":
        break
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
