"""What does not want to end: a thread, a task, a hook that holds the loop, a start that hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.probe import Probe, copy_project, probing
from tests.e2e.process import COMMAND, free_port
from tests.e2e.wire import clients, eventually, measured, run

SETTINGS = {"timeouts.shutdown": 1, "timeouts.close": 0.5}
FORCED = "the process is ended by force"
AFTER = 2.0
"""Seconds beyond `timeouts.shutdown` that stubborn code gets at most."""


async def begin_to_stop(server: Probe, path: str) -> float:
    """Use what does not end, and send the signal."""
    async with clients(server.port) as connect:
        client = await connect()
        if path.endswith("thread"):
            client.get(path)
            await eventually(lambda: "stubborn begun" in server.output)
        else:
            await client.websocket(path)
        os.kill(server.pid, signal.SIGTERM)
        return time.monotonic()


@pytest.mark.parametrize("what", ["thread", "task", "loop"])
def test_it_ends_in_spite_of(what: str, tmp_path: Path) -> None:
    with probing(tmp_path / "project", "stubborn", env=SETTINGS) as server:

        async def main() -> None:
            began = await begin_to_stop(server, f"/stubborn/{what}")
            code = await asyncio.to_thread(server.wait, 15)
            taken = time.monotonic() - began
            measured("taken", taken)
            assert code == 0
            assert taken < 1.5 * (1 + AFTER)

        run(main())
        assert FORCED in server.output


@pytest.mark.parametrize("what", ["thread", "task"])
def test_a_second_signal_does_not_wait_for(what: str, tmp_path: Path) -> None:
    with probing(
        tmp_path / "project", "stubborn", env={"timeouts.shutdown": 30, "timeouts.close": 20}
    ) as server:

        async def main() -> None:
            await begin_to_stop(server, f"/stubborn/{what}")
            await asyncio.sleep(0.3)
            assert server.code is None
            os.kill(server.pid, signal.SIGTERM)
            began = time.monotonic()
            code = await asyncio.to_thread(server.wait, 15)
            taken = time.monotonic() - began
            measured("taken", taken)
            assert code == 0
            assert taken < 3

        run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_hangs(number: signal.Signals, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project", "probe", "stubborn")
    command = [*COMMAND, "start", str(project), "--host", "127.0.0.1", "--port", str(free_port())]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PROBE_STARTS": "1"},
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "starting\n"
            began = time.monotonic()
            process.send_signal(number)
            code = process.wait(15)
            measured("taken", time.monotonic() - began)
            assert code == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()
