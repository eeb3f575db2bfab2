"""The end of the server under load: everybody is told, everything is finished, then it is gone (check 21)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.process import group_ends
from tests.e2e.probe import Probe, copy_project, probing
from tests.e2e.process import COMMAND, free_port
from tests.e2e.wire import LATE, Connect, Wire, clients, eventually, frame, measured, request, run

IN_FLIGHT = 50
"""Requests, at full length, whose answers are not there yet."""


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process open as many connections as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def ended(server: Probe, within: float) -> tuple[int, float]:
    """Wait for the end of the process; return its exit code, and the seconds that it took."""
    began = time.monotonic()
    code = await asyncio.to_thread(server.wait, within)
    return code, time.monotonic() - began


async def open_websocket(connect: Connect) -> Wire:
    client = await connect()
    await client.websocket("/ws/echo")
    return client


async def open_stream(connect: Connect, path: str) -> Wire:
    client = await connect()
    await client.stream(path)
    assert await client.chunk() == b"data: begun\n\n"
    return client


async def take_answer(client: Wire) -> tuple[int, dict[str, str], bytes]:
    answer = await client.response()
    client.close()
    return answer


async def leave_websocket(client: Wire, told: list[float] | None = None) -> tuple[int, str]:
    """Answer the server's close as clients do; note when it came."""
    code = await client.closing()
    if told is not None:
        told.append(time.monotonic())
    client.send(frame(b"\x03\xe9", 8))
    assert await client.rest() == b""
    client.close()
    return code


async def leave_stream(client: Wire, told: list[float]) -> int:
    """Read to the end of body and connection; return when its client is to come back, in milliseconds."""
    last = await client.chunk()
    told.append(time.monotonic())
    assert await client.rest() == b"0\r\n\r\n"
    client.close()
    assert last.startswith(b"retry: ") and last.endswith(b"\n\n"), last
    return int(last[7:])


def report_spread(told: list[float]) -> None:
    """Report how far apart clients heard of it, and how many at most in a moment."""
    moments = Counter(int((moment - min(told)) / 0.02) for moment in told)
    measured("seconds from the first to the last", max(told) - min(told))
    measured("most within 20 ms", max(moments.values()))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_everything_ends_in_order(
    tmp_path: Path, length: Callable[[int], int], signum: signal.Signals
) -> None:
    report = tmp_path / "report"
    sockets, streams, requests = length(1000), length(200), length(IN_FLIGHT)

    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            talking = await asyncio.gather(*(open_websocket(connect) for _ in range(sockets)))
            listening = await asyncio.gather(
                *(open_stream(connect, f"/events/{('idle', 'generator')[n % 2]}") for n in range(streams))
            )
            asking = [await connect() for _ in range(requests)]
            for client in asking:
                client.get("/slow?seconds=1")
            uploading = await connect()
            uploading.send(request("/hello", "Content-Length: 10", method="POST") + b"12345")
            idle = await connect()
            idle.get("/hello")
            assert (await idle.response())[0] == 200
            await eventually(lambda: server.noted("slow begun") == requests)

            began = time.monotonic()
            os.kill(server.pid, signum)
            assert await idle.rest() == b""
            assert await refused(server.port)
            uploading.send(b"67890")
            status, fields, body = await take_answer(uploading)
            assert (status, fields["connection"], body) == (200, "close", b'{"size":10}')

            told: list[float] = []
            ends, codes = await asyncio.gather(
                asyncio.gather(*(leave_stream(client, told) for client in listening)),
                asyncio.gather(*(leave_websocket(client, told) for client in talking)),
            )
            assert Counter(codes) == {(1001, ""): sockets}
            # Not all of them come back at once.
            assert min(ends) >= 2000 and max(ends) <= 10_000
            assert len(set(ends)) > streams / 2
            report_spread(told)
            answers = await asyncio.gather(*map(take_answer, asking))
            assert Counter((status, body) for status, _, body in answers) == {(200, b"done"): requests}
            assert {fields["connection"] for _, fields, _ in answers} == {"close"}

            code, _ = await ended(server, 15)
            taken = time.monotonic() - began
            measured("taken", taken)
            assert code == 0
            assert taken < 10
        lines = Counter(report.read_text().splitlines())
        assert lines == {
            "ws 1001": sockets,
            "stream": streams - streams // 2,
            "generator": streams // 2,
        }
        assert "Traceback" not in server.output and "ERROR" not in server.output, server.output

    with probing(tmp_path / "project", env={"PROBE_REPORT": report}) as server:
        run(main(server), 60)


async def refused(port: int) -> bool:
    """Wait until nothing is accepted any more."""

    def try_once() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    await eventually(try_once, 2)
    return True


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, second: signal.Signals) -> None:
    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            silent = await open_websocket(connect)
            asking = await connect()
            asking.get("/slow?seconds=60")
            await eventually(lambda: server.noted("slow begun") == 1)
            os.kill(server.pid, signal.SIGTERM)
            assert await silent.closing() == (1001, "")  # and it does not answer
            assert await refused(server.port)
            await asyncio.sleep(0.3)
            assert server.code is None, "the request in flight was not waited for"
            os.kill(server.pid, second)
            code, taken = await ended(server, 10)
            measured("taken", taken)
            assert code == 0
            assert taken < LATE
            assert await asking.rest() == b""

    with probing(tmp_path / "project") as server:
        run(main(server))


def test_what_does_not_end_is_cut_at_the_limit(tmp_path: Path) -> None:
    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            silent = await open_websocket(connect)
            asking = await connect()
            asking.get("/slow?seconds=60")
            unfinished = await connect()
            unfinished.send(b"GET /hello HTTP/1.1\r\nHost: local")
            await eventually(lambda: server.noted("slow begun") == 1)
            os.kill(server.pid, signal.SIGTERM)
            assert await silent.closing() == (1001, "")
            code, taken = await ended(server, 10)
            measured("taken", taken)
            assert code == 0
            assert 0.7 <= taken < 1 + LATE
            assert await asking.rest() == b""
            assert b"200" not in await unfinished.rest()

    with probing(tmp_path / "project", env={"timeouts.shutdown": 1, "timeouts.close": 30}) as server:
        run(main(server))


def test_plugins_end_after_the_last_hook(tmp_path: Path) -> None:
    """A hook may need at the end what a plugin holds: a database, for instance."""
    report = tmp_path / "report"

    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            client = await open_websocket(connect)
            os.kill(server.pid, signal.SIGTERM)
            await leave_websocket(client)
            assert (await ended(server, 10))[0] == 0
        assert report.read_text().split("\n") == ["ws 1001", "plugin ended", ""]

    with probing(tmp_path / "project", "layers", env={"PROBE_REPORT": report}) as server:
        run(main(server))


def test_ctrl_c_ends_the_dev_server_within_a_second(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project", "probe")
    port = free_port()

    async def main() -> None:
        with dev(project, port, tmp_path / "log") as process:
            await eventually(lambda: answers(port), 20)
            async with clients(port) as connect:
                talking = await open_websocket(connect)
                listening = await open_stream(connect, "/events/generator")
                silent = await open_websocket(connect)
                asking = await connect()
                asking.get("/slow?seconds=60")
                began = time.monotonic()
                # As a terminal does: to all processes at once.
                os.killpg(process.pid, signal.SIGINT)
                assert await leave_websocket(talking) == (1001, "")
                assert await leave_stream(listening, []) > 0
                assert await silent.closing() == (1001, "")
                code = await asyncio.to_thread(process.wait, 10)
                taken = time.monotonic() - began
                measured("taken", taken)
                assert code == 0
                assert taken < LATE
            assert group_ends(process.pid)
        log = (tmp_path / "log").read_text()
        assert "Traceback" not in log, log

    run(main())


@contextlib.contextmanager
def dev(project: Path, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `longwave dev` as the first process of a group of its own."""
    command = [*COMMAND, "dev", str(project), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


async def answers(port: int) -> Any:
    with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError):
        async with clients(port) as connect:
            client = await connect()
            client.get("/_longwave/health")
            return (await client.response())[0] == 200
    return False
