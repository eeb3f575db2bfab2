"""Clients that others wrote: WebSocket, event stream and plain HTTP, each against the running server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets
import websockets.sync.client
from httpx_sse import connect_sse

from tests.e2e.deno import needs_deno, run_script
from tests.e2e.npm import installing
from tests.e2e.probe import Probe, probing
from tests.e2e.wire import run

needs_curl = pytest.mark.curl
SENT: tuple[str | bytes, ...] = ("", "hello", "ünïcödé \u2028 😀", "x" * 70_000, b"", b"\0\xff" * 40_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    folder = tmp_path_factory.mktemp("clients")
    events = [
        {"data": "one\ntwo\r\nthree\rfour", "id": "7"},
        {"data": "", "event": "tick"},
        {"data": " \u2028\0", "event": "tick", "id": ""},
        {"data": "[]", "id": "8", "retry": 150},
    ]
    (folder / "events.json").write_text(json.dumps(events))
    with probing(folder, env={"PROBE_EVENTS": folder / "events.json", "timeouts.close": 0.5}) as running:
        yield running


def test_websockets_asyncio(server: Probe) -> None:
    async def main() -> None:
        url = server.websocket_url + "ws/echo"
        async with websockets.connect(url, subprotocols=["nothing.v9", "echo.v1"]) as client:  # type: ignore[list-item]
            assert client.subprotocol == "echo.v1"
            for message in SENT:
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "frames"])
            assert await client.recv() == "in three frames"
            assert await (await client.ping(b"payload")) < 5
            await client.send("close 4999")
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4999, "asked")

    with server.unharmed():
        run(main())


def test_websockets_threads(server: Probe) -> None:
    def talk(number: int) -> None:
        with websockets.sync.client.connect(server.websocket_url + "ws/echo") as client:
            for message in SENT:
                client.send(message)
                assert client.recv(timeout=10) == message
            client.close(4000 + number, "done")
        talked.append(number)

    talked: list[int] = []
    with server.unharmed():
        threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(talked) == [0, 1, 2, 3]
        for number in range(4):
            assert server.noted(f"ws closed {4000 + number}") == 1


def test_httpx_sse(server: Probe) -> None:
    with server.unharmed(), httpx.Client(timeout=10) as client:
        with connect_sse(client, "GET", server.url + "events/recorded") as source:
            events = list(source.iter_sse())
        told = [(event.event, event.data, event.id, event.retry) for event in events]
        assert told == [
            ("message", "one\ntwo\nthree\nfour", "7", None),
            ("tick", "", "7", None),
            ("tick", " \u2028\0", "", None),
            ("message", "[]", "8", 150),
        ]


@needs_curl
def test_curl_shows_a_stream_as_it_comes(server: Probe) -> None:
    with server.unharmed():
        command = ["curl", "-sS", "-N", "-i", "--max-time", "20", server.url + "events/idle"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            assert process.stdout is not None
            shown = b""
            # The stream has not ended: what was pushed is there already.
            while b"\r\n\r\ndata: begun\n\n" not in shown:
                piece = process.stdout.read1(4096)  # type: ignore[attr-defined]
                assert piece, shown
                shown += piece
            assert shown.startswith(b"HTTP/1.1 200 OK\r\n")
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate()


@needs_curl
def test_curl_waits_for_a_continue(server: Probe) -> None:
    size = 1_000_000
    with server.unharmed():
        # Where no answer comes curl waits, and sends the body all the same after its time-out.
        waiting = ["-H", "Expect: 100-continue", "--expect100-timeout", "15", "--data-binary", "@-"]
        began = time.monotonic()
        result = curl(server, "hello", *waiting, sent=b"c" * size)
        assert time.monotonic() - began < 10
        assert json.loads(result.stdout) == {"size": size}
        log = result.stderr.decode()
        assert log.index("> Expect: 100-continue") < log.index("< HTTP/1.1 100 Continue")
        assert log.index("< HTTP/1.1 100 Continue") < log.index("< HTTP/1.1 200 OK")
        # One that is refused is not sent at all.
        result = curl(server, "hello", "-H", "Expect: 100-continue", "--data-binary", "@-", sent=b"c" * 2**21)
        log = result.stderr.decode()
        assert "< HTTP/1.1 413" in log and "100 Continue" not in log


@needs_curl
def test_curl_goes_on_where_an_upgrade_to_http2_is_not_taken(server: Probe) -> None:
    with server.unharmed():
        result = curl(server, "hello?n=2", "--http2")
        assert result.stdout == b"hello 2"
        assert "< HTTP/1.1 200 OK" in result.stderr.decode()
        result = curl(server, "hello", "--http2", "--data-binary", "@-", sent=b"12345")
        assert json.loads(result.stdout) == {"size": 5}


@needs_curl
def test_curl_uses_a_connection_again(server: Probe) -> None:
    opened = server.stats()["server"]["opened"]
    with server.unharmed():
        first = server.stats()["server"]["opened"]
        result = curl(server, "hello?n=[1-5]")
        assert result.stdout == b"hello 1hello 2hello 3hello 4hello 5"
        # One connection for all, one to ask.
        assert server.stats()["server"]["opened"] == first + 2 > opened
        result = curl(server, "hello", "-I")
        assert b"HTTP/1.1 200 OK" in result.stdout and b"content-length: 5" in result.stdout


def curl(server: Probe, path: str, *options: str, sent: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ["curl", "-sS", "-v", "--max-time", "20", *options, server.url + path]
    result = subprocess.run(command, input=sent, capture_output=True, check=False, timeout=30)
    assert result.returncode == 0, result.stderr.decode()
    return result


@needs_deno
def test_the_websocket_of_deno(server: Probe) -> None:
    with server.unharmed():
        (said,) = run_script("websocket.js", server.websocket_url + "ws/echo")
    assert said == {
        "got": [True] * 5,
        "code": 4321,
        "reason": "asked",
        "wasClean": True,
        "protocol": "echo.v1",
    }


@needs_deno
def test_the_eventsource_of_deno(server: Probe) -> None:
    with server.unharmed():
        lines = run_script("eventsource.js", server.url + "events/recorded", "tick")
    *events, over = [line for line in lines if "type" in line]
    assert events == [
        {"type": "message", "data": "one\ntwo\nthree\nfour", "id": "7"},
        {"type": "tick", "data": "", "id": "7"},
        {"type": "tick", "data": " \u2028\0", "id": ""},
        {"type": "message", "data": "[]", "id": "8"},
    ]
    assert json.loads(over["data"]) == {"last": "8"}


@pytest.fixture(scope="module")
def wscat() -> Path:
    """The program, from npm's registry; it is kept beside this Python."""
    folder = Path(sys.prefix) / "npm" / "wscat-6"
    with installing(folder) as npm:
        if npm is not None:
            command = [npm, "install", "--no-audit", "--no-fund", "--fetch-retries=0", f"--prefix={folder}"]
            try:
                subprocess.run([*command, "wscat@6"], capture_output=True, check=True, timeout=40)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"npm cannot install wscat: {error}")
    return folder / "node_modules" / ".bin" / "wscat"


@pytest.mark.node
def test_wscat(server: Probe, wscat: Path) -> None:
    command = [str(wscat), "--connect", server.websocket_url + "ws/chat"]
    command += ["--execute", "over the wire", "--wait", "1", "--no-color"]
    with server.unharmed():
        # At the end of its input it would leave.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            shown = b""
            while shown.split() != [b"joined", b"over", b"the", b"wire"]:
                piece = process.stdout.read1(4096)  # type: ignore[attr-defined]
                assert piece, shown
                shown += piece
        finally:
            process.kill()
            process.communicate()
