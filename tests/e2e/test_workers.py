"""`longwave start --workers 2`: what is published on one is heard on the other, whatever becomes of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import COMMAND, ServerProcess, free_port
from tests.e2e.wire import Connect, Wire, clients, eventually, frame, measured, request, run

APP = Path(__file__).with_name("apps") / "workers"


class Workers(ServerProcess):
    """Two workers; `pids` are theirs, as the system sees them."""

    def __init__(self, root: Path = APP, *args: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__(root, "--workers", "2", *args, env=env)
        self.meeting = ""

    def start(self, within: float = 20.0) -> None:
        """Start, and wait until both workers serve: until then one of them answers for both."""
        super().start(within)
        deadline = time.monotonic() + within
        while re.search("Workers +2", self.output) is None:
            assert time.monotonic() < deadline, self.output
            time.sleep(0.01)

    def pids(self) -> list[int]:
        """Return the processes that the supervisor has."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def wait(self, within: float = 10.0) -> int:
        """Wait until the supervisor has ended by itself; return its exit code."""
        assert self._process is not None
        code = self._process.wait(within)
        self._process = None
        return code


@pytest.fixture(scope="module")
def server() -> Iterator[Workers]:
    with Workers() as started:
        yield started


async def on(connect: Connect, worker: int) -> tuple[Wire, int]:
    """Return a WebSocket on a worker, and the worker's process id; the kernel chooses, so try until it is."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        client = await connect()
        await client.websocket("/ws")
        found, pid = (await client.text()).split()
        if int(found) == worker:
            return client, int(pid)
        client.close()
        await asyncio.sleep(0.002)
    raise AssertionError(f"no connection came to worker {worker}")


def meeting_of(pid: int) -> str:
    """Return the folder in which a worker meets the others, of its command line."""
    task = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[3]
    meeting: str = json.loads(task)["meeting"]
    return meeting


def lives(pid: int) -> bool:
    """Tell whether a process runs; what nobody has waited for has no command line any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


async def said(client: Wire, message: str) -> None:
    """Say something and wait until it is done."""
    await client.say(message)
    assert await client.text() in ("ok", "done")


async def told(client: Wire) -> int:
    """Wait for the goodbye, and answer it; return its code."""
    code, _ = await client.closing()
    client.send(frame(code.to_bytes(2, "big"), 8))
    await client.rest()
    client.close()
    return code


async def asked(connect: Connect, path: str) -> dict[str, Any]:
    """Ask something over a connection of its own."""
    client = await connect()
    client.send(request(path, "Connection: close"))
    status, _, body = await client.response()
    client.close()
    assert status == 200, (status, body)
    answer: dict[str, Any] = json.loads(body)
    return answer


async def stats_of(connect: Connect, worker: int) -> dict[str, Any]:
    """Return the counters of one worker."""
    while (answer := await asked(connect, "/stats"))["worker"] != worker:
        pass
    return answer


def test_a_publication_reaches_all_workers_once_and_in_order(server: Workers) -> None:
    async def check() -> None:
        async with clients(server.port) as connect:
            (here, _), (there, _) = await on(connect, 0), await on(connect, 1)
            mute, _ = await on(connect, 1)
            for client in (here, there):
                await said(client, "sub room")
            await here.say("many room 0 100 10")
            heard = [int((await there.text()).split()[0]) for _ in range(100)]
            assert heard == list(range(100))
            assert await here.text() == "done"  # its own publications are not for it
            # Over HTTP, from whatever worker, to all namespaces.
            poster = await connect()
            body = b"hello"
            poster.send(request("/publish?topic=room", f"Content-Length: {len(body)}", method="POST") + body)
            assert (await poster.response())[0] == 204
            assert await here.text() == await there.text() == "hello"
            await said(mute, "sub other")  # had it heard anything, this would not be its next message

    run(check())


def test_who_is_welcomed_misses_nothing_of_another_worker(
    server: Workers, length: Callable[[int], int]
) -> None:
    """Check 25: the publication comes as soon as it can after the subscription, which is not awaited."""

    async def check() -> None:
        async with clients(server.port) as connect:
            (listener, _), (speaker, _) = await on(connect, 0), await on(connect, 1)
            for number in range(length(10_000)):
                await said(listener, "sub race")
                await speaker.say(f"pub race {number}")
                assert await listener.text() == str(number)
                await said(listener, "unsub race")

    run(check())


def test_the_supervisor_adds_the_counters_up(server: Workers) -> None:
    async def check() -> None:
        async with clients(server.port) as connect:
            for worker in (0, 1):
                client, _ = await on(connect, worker)
                await said(client, "sub counted")
            os.kill(server.pid, signal.SIGUSR1)
            await eventually(lambda: '"workers": 2' in server.output)
        (line,) = re.findall("stats ({.*})", server.output)
        counters = json.loads(line)
        assert counters["peers"] == counters["topics"] == counters["backplane.workers"] == 2

    run(check())


def test_a_killed_worker_is_back_and_the_other_loses_nothing(length: Callable[[int], int]) -> None:
    async def check(server: Workers) -> None:
        async with clients(server.port) as connect:
            listeners = [(await on(connect, 1))[0] for _ in range(length(200))]
            speaker, _ = await on(connect, 1)
            victim, pid = await on(connect, 0)
            for client in (*listeners, victim):
                await said(client, "sub room")
            speaking = asyncio.create_task(speak(speaker))
            os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            again, new = await on(connect, 0)
            taken = time.monotonic() - began
            measured("seconds until the slot of a killed worker serves", taken)
            assert new != pid
            await said(again, "sub room")
            enough.set()
            sent = await speaking
            await speaker.say("pub room end")
            for client in listeners:
                heard = []
                while (text := await client.text()) != "end":
                    heard.append(int(text.split()[0]))
                assert heard == list(range(sent))
            while await again.text() != "end":
                pass
            await again.say("pub room back")
            assert await listeners[0].text() == "back"

    async def speak(speaker: Wire) -> int:
        number = 0
        while not enough.is_set():
            await said(speaker, f"many room {number} 10 8")
            number += 10
        return number

    enough = asyncio.Event()
    with Workers() as server:
        run(check(server))
        assert "by signal 9; another is started now" in server.output


def test_sighup_replaces_all_workers_and_no_request_notices() -> None:
    async def check(server: Workers) -> None:
        async with clients(server.port) as connect:
            peer, _ = await on(connect, 0)
            before = set(server.pids())
            answers: list[int] = []

            async def ask_on() -> None:
                while True:
                    client = await connect()
                    client.send(request("/slow", "Connection: close"))
                    status, _, body = await client.response()
                    client.close()
                    assert (status, body) == (200, b"done")
                    answers.append(status)

            asking = [asyncio.create_task(ask_on()) for _ in range(20)]
            await eventually(lambda: len(answers) >= 20)
            os.kill(server.pid, signal.SIGHUP)
            assert await told(peer) == 1012
            await eventually(lambda: server.output.count("was replaced") == 2, 15)
            await eventually(lambda: len(server.pids()) == 2, 15)
            count = len(answers)
            await eventually(lambda: len(answers) >= count + 40)
            for task in asking:
                task.cancel()
            for result in await asyncio.gather(*asking, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError), repr(result)
            assert not before & set(server.pids())

    with Workers() as server:
        run(check(server))


def test_sigterm_ends_all_in_order() -> None:
    async def check(server: Workers) -> None:
        async with clients(server.port) as connect:
            peers = [(await on(connect, worker))[0] for worker in (0, 1)]
            slow = await connect()
            slow.send(request("/slow"))
            await asyncio.sleep(0.05)
            # As systemd does it: all processes of the service are told.
            for pid in (*server.pids(), server.pid):
                os.kill(pid, signal.SIGTERM)
            assert [await told(peer) for peer in peers] == [1001, 1001]
            assert (await slow.response())[0] == 200

    with Workers() as server:
        run(check(server))
        assert server.wait() == 0, server.output
        assert "ERROR" not in server.output


def test_a_stalled_worker_holds_up_no_other() -> None:
    count, size = 150, 5000

    async def check(server: Workers) -> None:
        async with clients(server.port) as connect:
            (speaker, _), (near, _), (far, pid) = [await on(connect, worker) for worker in (0, 0, 1)]
            for client in (near, far):
                await said(client, "sub room")
            os.kill(pid, signal.SIGSTOP)
            try:
                await said(speaker, f"many room 0 {count} {size}")
                heard = [int((await near.text()).split()[0]) for _ in range(count)]
                assert heard == list(range(count))
                # The other slot's connections wait for their worker; a kernel's queue is no reason to fail.
                here = await asked_on(connect, 0)
                dropped = here["limits.backplane"]
                assert 0 < dropped < count and here["backplane.waiting_bytes"] <= 200_000 + size + 100
            finally:
                os.kill(pid, signal.SIGCONT)
            await said(speaker, f"many room {count} 1 1")
            late: list[int] = []
            while not late or late[-1] != count:
                late.append(int((await far.text()).split()[0]))
            assert late == sorted(set(late)) and len(late) == count + 1 - dropped
            assert (await stats_of(connect, 1))["backplane.missed"] == dropped

    async def asked_on(connect: Connect, worker: int) -> dict[str, Any]:
        while True:
            try:
                async with asyncio.timeout(0.2):
                    answer = await asked(connect, "/stats")
                if answer["worker"] == worker:
                    return answer
            except TimeoutError:
                pass

    with Workers(env={"LONGWAVE_LIMITS_BACKPLANE": "200000"}) as server:
        run(check(server))


def test_workers_end_when_their_supervisor_is_killed() -> None:
    async def check(server: Workers) -> None:
        async with clients(server.port) as connect:
            peer, _ = await on(connect, 0)
            pids = server.pids()
            server.meeting = meeting_of(pids[0])
            os.kill(server.pid, signal.SIGKILL)
            assert await told(peer) == 1001
            await eventually(lambda: not any(map(lives, pids)))

    with Workers() as server:
        run(check(server))
        assert server.wait() == -signal.SIGKILL
        assert not Path(server.meeting).exists()


def test_a_slot_whose_worker_cannot_be_started_is_served_by_another(tmp_path: Path) -> None:
    root = tmp_path / "app"
    shutil.copytree(APP, root)
    route = root / "src" / "server" / "routes" / "slow.get.py"
    code = route.read_text()

    async def check(server: Workers) -> None:
        async with clients(server.port) as connect:
            _, pid = await on(connect, 0)
            route.write_text("raise RuntimeError('broken')\n")
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: "another is started in 0.25 s" in server.output)
            assert {(await asked(connect, "/who"))["worker"] for _ in range(30)} == {1}
            # Nothing is replaced by what cannot be loaded.
            os.kill(server.pid, signal.SIGHUP)
            await eventually(lambda: "The workers from before go on" in server.output)
            route.write_text(code)
            await eventually(lambda: "worker 0 serves again" in server.output, 20)
            await on(connect, 0)

    with Workers(root) as server:
        run(check(server))
        assert "RuntimeError: broken" in server.output


def test_what_cannot_be_started_is_said_once_with_exit_code_1(tmp_path: Path) -> None:
    route = tmp_path / "src" / "server" / "routes" / "index.get.py"
    route.parent.mkdir(parents=True)
    route.write_text("raise RuntimeError('broken')\n")
    command = [*COMMAND, "start", str(tmp_path), "--workers", "2", "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.count("RuntimeError: broken") == 1


def test_a_taken_port_is_an_error_though_it_could_be_shared(server: Workers) -> None:
    command = [
        *COMMAND,
        "start",
        str(APP),
        "--workers",
        "2",
        "--host",
        "127.0.0.1",
        "--port",
        str(server.port),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "is taken" in done.stderr
