"""The load generator builds, works in each mode against our server, and notices what is wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.server import ServerConnection

from bench.kit import LOAD, ROOT, compile_c
from tests.e2e.process import ServerProcess, free_port

pytestmark = pytest.mark.cc

SHORT = ("--seconds", "0.2", "--warmup", "0.05")
ECHO = ("echo", "--path", "/ws/echo", "--clients", "8")
ROOM = ("fanout", "--path", "/ws/room", "--clients", "20")
MODES = [
    ECHO,
    (*ECHO, "--depth", "8", "--size", "70000"),
    (*ROOM, "--depth", "4"),
    (*ROOM, "--beside", "30", "--beside-path", "/ws/topic/%d", "--probe", "/ws/echo"),
    (*ROOM, "--rate", "200", "--slow"),
    ("fanout", "--path", "/ws/many", "--clients", "1"),
    ("chat", "--path", "/ws/chat", "--clients", "6"),
    ("sse", "--sse-path", "/sse", "--clients", "20", "--size", "64"),
    ("mixed", "--path", "/ws/room", "--sse-path", "/sse", "--clients", "10"),
    ("http", "--path", "/json", "--clients", "8"),
]
LIMITED = [mode for mode in MODES if "/ws/many" not in mode and "mixed" not in mode and "70000" not in mode]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    for name in ("load", "limit"):
        compile_c(LOAD / f"{name}.c", folder / name)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(ROOT / "bench" / "app") as running:
        yield running


def run(programs: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(programs / "load"), *arguments, "--port", str(port)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )


def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.split() == ["measuring", "measured"]
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_mode(programs: Path, server: ServerProcess, mode: tuple[str, ...]) -> None:
    found = result(run(programs, server.port, *mode, *SHORT))
    assert found["errors"] == 0
    assert found["messages"] > 0
    assert 0 < found["latency_us"]["p50"] <= found["latency_us"]["p99"] <= found["latency_us"]["max"]
    assert found["rate"] == pytest.approx(found["messages"] / found["seconds"], rel=0.01)
    if "--probe" in mode:
        assert found["probe_us"]["count"] > 0
    if "--rate" in mode:
        assert found["sent"] == pytest.approx(40, abs=25)


def test_idle_connections_are_held_until_the_input_ends(programs: Path, server: ServerProcess) -> None:
    for more in (("--path", "/ws/echo"), ("--streams", "--sse-path", "/sse")):
        command = [str(programs / "load"), "idle", "--port", str(server.port), "--clients", "30", *more]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "holding\n"
            output, _ = process.communicate()
        assert json.loads(output) == {"mode": "idle", "clients": 30, "errors": 0}


def test_the_limit_serves_the_same(programs: Path) -> None:
    port = free_port()
    with subprocess.Popen([str(programs / "limit"), str(port)]) as process:
        try:
            while run(programs, port, "idle", "--path", "/ws/echo").returncode:
                assert process.poll() is None
            for mode in LIMITED:
                assert (
                    result(run(programs, port, *mode, "--seconds", "0.05", "--warmup", "0"))["messages"] > 0
                )
        finally:
            process.terminate()


async def backwards(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message[::-1])


async def closing(connection: ServerConnection) -> None:
    await connection.close(1008, "not you")


async def binary(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(str(message).encode())


async def doubled(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)
        await connection.send(message)


@pytest.mark.parametrize(
    ("handler", "options", "words"),
    [
        (backwards, {}, "got a wrong echo"),
        (doubled, {}, "got a wrong echo"),
        (closing, {}, "was closed with 1008 not you"),
        (binary, {}, "got a message that is not text"),
        (backwards, {"compression": "deflate"}, "the server compresses"),
    ],
)
def test_what_is_wrong_is_an_error(
    programs: Path, handler: Callable[[ServerConnection], Any], options: dict[str, Any], words: str
) -> None:
    async def serve() -> subprocess.CompletedProcess[str]:
        async with websockets.serve(handler, "127.0.0.1", 0, **{"compression": None, **options}) as serving:
            port = next(iter(serving.sockets)).getsockname()[1]
            return await asyncio.to_thread(run, programs, port, *ECHO, *SHORT)

    done = asyncio.run(serve())
    assert done.returncode == 1
    assert words in json.loads(done.stdout)["error"]


def test_a_wrong_event_is_an_error(programs: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n")
            await asyncio.sleep(0.4)
            writer.write(b"event: other\ndata: something else\n\n")
        await reader.read()
        writer.close()

    async def serve() -> subprocess.CompletedProcess[str]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as serving:
            port = serving.sockets[0].getsockname()[1]
            return await asyncio.to_thread(run, programs, port, "sse", "--clients", "1", *SHORT)

    done = asyncio.run(serve())
    assert done.returncode == 1
    assert "got a wrong message: something else" in json.loads(done.stdout)["error"]


def test_upgrades_carry_a_head_of_chrome_s_size(programs: Path) -> None:
    async def serve() -> bytes:
        heads: asyncio.Queue[bytes] = asyncio.Queue()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.put_nowait(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as serving:
            port = serving.sockets[0].getsockname()[1]
            await asyncio.to_thread(run, programs, port, "idle", "--path", "/ws/echo")
            return heads.get_nowait()

    head = asyncio.run(serve())
    assert 650 <= len(head) <= 680
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate" in head
