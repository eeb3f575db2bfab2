"""Limits of requests and connections, passed over real sockets (check 9)."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.probe import MIB, Probe, copy_project, probing
from tests.e2e.wire import LATE, Connect, clients, eventually, measured, request, run, status_of, upgrade

KIB = 1024
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server as it comes, but that a close is not waited for so long."""
    with probing(tmp_path_factory.mktemp("defaults"), env={"timeouts.close": 0.5}) as server:
        yield server


def heads() -> dict[str, tuple[str, int, bytes]]:
    """Return requests by name: the counter that they move, their status, their bytes."""
    line = b"GET /hello?%b HTTP/1.1\r\n"
    room = 8 * KIB - len(line % b"") + 2
    fields = b"X-%03d: y\r\n"
    block = 16 * KIB - len(HOST) - len(b"X: \r\n")
    body = b"POST /hello HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n%b"
    chunked = b"POST /hello HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (64 * KIB, b"c" * 64 * KIB)
    trailer = b"0\r\n%b\r\n"
    get = b"GET /hello HTTP/1.1\r\n" + HOST
    return {
        "a line at the limit": ("", 200, line % (b"a" * room) + HOST + b"\r\n"),
        "a line past it": ("limits.request_line", 414, line % (b"a" * (room + 1)) + HOST + b"\r\n"),
        "a line without end": ("limits.request_line", 414, b"GET /" + b"a" * 100_000),
        "headers at the limit": ("", 200, get + b"X: " + b"a" * block + b"\r\n\r\n"),
        "headers past it": ("limits.headers", 431, get + b"X: " + b"a" * (block + 1) + b"\r\n\r\n"),
        "a header without end": ("limits.headers", 431, get + b"X: " + b"a" * 100_000),
        "100 fields": ("", 200, get + b"".join(fields % n for n in range(99)) + b"\r\n"),
        "101 fields": ("limits.header_count", 431, get + b"".join(fields % n for n in range(100)) + b"\r\n"),
        "a body at the limit": ("", 200, body % (MIB, b"b" * MIB)),
        "a length past it": ("limits.body", 413, body % (MIB + 1, b"")),
        "chunks at the limit": ("", 200, chunked + chunk * 16 + b"0\r\n\r\n"),
        "chunks past it": ("limits.body", 413, chunked + chunk * 16 + b"1\r\nx\r\n0\r\n\r\n"),
        "a chunk without end": ("limits.body", 413, chunked + b"ffffffffffffff\r\n" + b"d" * 1000),
        "100 trailers": ("", 200, chunked + trailer % b"".join(fields % n for n in range(100))),
        "101 trailers": (
            "limits.header_count",
            431,
            chunked + trailer % b"".join(fields % n for n in range(101)),
        ),
        "a long trailer": ("limits.headers", 431, chunked + b"0\r\nX: " + b"t" * 17 * KIB),
        "a short extension": ("", 200, chunked + b"5;" + b"e" * 200 + b"\r\n12345\r\n0\r\n\r\n"),
        "a long extension": ("", 400, chunked + b"5;" + b"e" * 300 + b"\r\n12345\r\n0\r\n\r\n"),
        "many extensions": ("", 400, chunked + (b"1;" + b"e" * 200 + b"\r\nx\r\n") * 100 + b"0\r\n\r\n"),
    }


@pytest.mark.parametrize("name", heads())
def test_requests_at_a_limit_and_past_it(defaults: Probe, name: str) -> None:
    limit, wanted, data = heads()[name]

    async def main() -> None:
        async with clients(defaults.port) as connect:
            began = time.monotonic()
            status, _, body = await status_of(connect, data)
            assert status == wanted, body
            assert time.monotonic() - began < LATE
            if status == 200 and data.startswith(b"POST"):
                assert json.loads(body)["size"] in (0, 5, MIB)

    before = defaults.passed(limit) if limit else 0
    with defaults.unharmed():
        run(main(), 10)
    if limit:
        assert defaults.passed(limit) == before + 1


def test_a_huge_header_costs_nothing(defaults: Probe) -> None:
    async def send_much(size: int) -> int:
        """Send a header of so many bytes, or as many as are taken; return the most memory seen."""
        most = 0
        async with clients(defaults.port) as connect:
            client = await connect()
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"X: ")
            with suppress(ConnectionError):
                for _ in range(size // MIB):
                    client.send(b"a" * MIB)
                    await asyncio.wait_for(client.writer.drain(), 5)
                    most = max(most, defaults.rss())
            with suppress(ConnectionError):
                assert (await client.response())[0] == 431
        return most

    async def main() -> None:
        await send_much(2 * MIB)
        await send_much(2 * MIB)
        before = defaults.rss()
        grown = await send_much(100 * MIB) - before
        measured("grown", grown)
        assert grown <= 2 * MIB

    with defaults.unharmed():
        run(main())


def test_many_pipelined_requests_wait(defaults: Probe) -> None:
    count = 40

    async def main() -> None:
        async with clients(defaults.port) as connect:
            client = await connect()
            client.get("/slow?seconds=0.3")
            for number in range(count):
                client.get(f"/hello?n={number}")
                await client.writer.drain()
                if number < 20:
                    await asyncio.sleep(0.002)  # several reads
            requests = defaults.stats()["server"]["requests"]
            assert (await client.response())[2] == b"done"
            for number in range(count):
                assert (await client.response())[2] == b"hello %d" % number
            # None of them was looked at before the first had its answer; the two others asked for counters.
            assert defaults.stats()["server"]["requests"] == requests + count + 1

    before = defaults.passed("limits.pipeline")
    with defaults.unharmed():
        run(main())
    assert defaults.passed("limits.pipeline") == before + 1


def test_the_cap_on_connections_is_exact(tmp_path_factory: pytest.TempPathFactory) -> None:
    cap, beyond = 6, 100

    async def hello(connect: Connect, *fields: str) -> tuple[int, dict[str, str], bytes]:
        client = await connect()
        client.get("/hello", *fields)
        answer = await client.response()
        if answer[1].get("connection") == "close":
            client.close()
        return answer

    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            watch = await connect()

            async def connections() -> int:
                watch.get("/stats")
                return int(json.loads((await watch.response())[2])["server"]["connections"])

            for kind in ("websocket", "stream", "plain", "plain"):
                client = await connect()
                if kind == "websocket":
                    await client.websocket("/ws/echo")
                elif kind == "stream":
                    await client.stream("/events/idle")
                else:
                    client.get("/hello")
                    assert (await client.response())[0] == 200
            last = await connect()
            last.get("/hello")
            assert (await last.response())[0] == 200
            assert await connections() == cap
            for _ in range(3):
                status, fields, _ = await hello(connect)
                assert (status, fields["connection"]) == (503, "close")
                assert 2 <= int(fields["retry-after"]) <= 10
            assert (await status_of(connect, upgrade("/ws/echo")))[0] == 503
            status, fields, body = await hello(connect, "Accept: text/event-stream")
            assert (status, fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
            match = re.fullmatch(rb"retry: (\d+)\n\n", body)
            assert match and 2000 <= int(match[1]) <= 10_000

            # So many more are accepted to be told; then the kernel keeps them.
            async def full() -> bool:
                return await connections() == cap

            await eventually(full)
            crowd = [await connect() for _ in range(beyond)]

            async def crowded() -> bool:
                return await connections() == cap + beyond

            await eventually(crowded)
            waiting = await connect()
            waiting.get("/hello")
            await asyncio.sleep(0.3)
            assert await connections() == cap + beyond
            assert not waiting.reader._buffer  # type: ignore[attr-defined]
            crowd[0].close()
            assert (await waiting.response())[0] == 503
            for client in crowd:
                client.close()
            last.close()

            async def room() -> bool:
                return await connections() == cap - 1

            await eventually(room)
            assert (await hello(connect))[0] == 200

    folder = tmp_path_factory.mktemp("cap")
    with probing(folder, env={"limits.connections": cap, "timeouts.close": 0.5}) as server:
        with server.unharmed():
            run(main(server), 30)


def test_the_file_limit_is_the_cap_where_none_is_set(tmp_path: Path) -> None:
    """The soft limit of open files is raised to the hard one, and a hundred are kept for other things."""
    soft, hard, reserved = 150, 260, 100

    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            inside = [await connect() for _ in range(hard - reserved)]
            for client in inside:
                client.get("/hello")
                assert (await client.response())[0] == 200
            for _ in range(3):
                status, fields, _ = await status_of(connect, request("/hello"))
                assert status == 503
                assert int(fields["retry-after"]) > 0
            # More than are told so; the kernel keeps the others, and no file is missing.
            crowd = [await connect() for _ in range(80)]
            inside.pop().close()
            await asyncio.sleep(0.2)
            inside[0].get("/hello")
            assert (await inside[0].response())[0] == 200
            for client in crowd:
                client.close()

    class Confined(Probe):
        def start(self, within: float = 20.0) -> None:
            script = f'ulimit -S -n {soft}; ulimit -H -n {hard}; exec "$@"'
            self._argv = ["sh", "-c", script, "sh", *self._argv]
            super().start(within)

    with Confined(copy_project(tmp_path / "project", "probe"), env={}) as server, server.unharmed():
        run(main(server), 30)


def test_the_cap_per_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            one, two, three = [await connect() for _ in range(3)]
            await one.websocket("/ws/echo")
            await two.stream("/events/idle")
            three.get("/hello")
            assert (await three.response())[0] == 200
            status, fields, _ = await status_of(connect, request("/hello"))
            assert status == 429
            assert int(fields["retry-after"]) > 0
            one.reset()

            async def again() -> bool:
                return (await status_of(connect, request("/hello", "Connection: close")))[0] == 200

            await eventually(again)
            three.get("/stats")
            counters = json.loads((await three.response())[2])["app"]
            assert counters["limits.connections_per_address"] >= 1
            assert counters["limits.connections"] == 0

    with probing(tmp_path_factory.mktemp("address"), env={"limits.connections_per_address": 3}) as server:
        with server.unharmed():
            run(main(server), 30)
