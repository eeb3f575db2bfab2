"""Time-outs of requests and connections, passed over real sockets (check 9)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.probe import MIB, Probe, probing
from tests.e2e.wire import LATE, Wire, clients, eventually, frame, measured, request, run, status_of, upgrade

KIB = 1024


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server that waits for nobody."""
    names = ("header", "body", "keep_alive", "upgrade", "ping", "pong", "close")
    settings: dict[str, Any] = {f"timeouts.{name}": 0.4 for name in names}
    settings |= {"timeouts.response": 1, "timeouts.heartbeat": 1}
    with probing(tmp_path_factory.mktemp("hasty"), env=settings) as server:
        yield server


async def silent(client: Wire) -> None:
    """Send nothing."""


async def slow_line(client: Wire) -> None:
    client.send(b"GET /hel")


async def slow_header(client: Wire) -> None:
    client.send(b"GET /hello HTTP/1.1\r\nHost: local")


async def slow_body(client: Wire) -> None:
    client.send(request("/hello", "Content-Length: 10", method="POST") + b"12345")


async def slow_chunks(client: Wire) -> None:
    client.send(request("/hello", "Transfer-Encoding: chunked", method="POST") + b"5\r\n123")


SLOW = {
    "silent": (silent, "timeouts.header"),
    "slow line": (slow_line, "timeouts.header"),
    "slow header": (slow_header, "timeouts.header"),
    "slow body": (slow_body, "timeouts.body"),
    "slow chunks": (slow_chunks, "timeouts.body"),
}


@pytest.mark.parametrize("name", SLOW)
def test_slow_requests_are_told_so(hasty: Probe, name: str) -> None:
    begin, limit = SLOW[name]

    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect()
            began = time.monotonic()
            await begin(client)
            status, fields, _ = await client.response()
            taken = time.monotonic() - began
            measured("taken", taken)
            assert (status, fields["connection"]) == (408, "close")
            assert 0.4 <= taken < 0.4 + LATE
            assert await client.rest() == b""

    before = hasty.passed(limit)
    with hasty.unharmed():
        run(main(), 10)
    assert hasty.passed(limit) == before + 1


def test_a_byte_now_and_then_does_not_keep_a_header_open(hasty: Probe) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect()
            client.send(b"GET /hello HTTP/1.1\r\nX: ")
            began = time.monotonic()
            answer = asyncio.create_task(client.response())
            while not answer.done():
                client.send(b"a")
                await asyncio.sleep(0.05)
                assert time.monotonic() - began < 0.4 + LATE
            assert (await answer)[0] == 408

    with hasty.unharmed():
        run(main(), 10)


def test_an_idle_connection_is_closed(hasty: Probe) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect()
            began = time.monotonic()
            client.get("/hello")
            assert (await client.response())[0] == 200
            await client.ends(0.4 + LATE)
            assert time.monotonic() - began >= 0.35

    before = hasty.passed("timeouts.keep_alive")
    with hasty.unharmed():
        run(main(), 10)
    assert hasty.passed("timeouts.keep_alive") == before + 1


def test_who_takes_no_byte_of_a_response_is_cut(hasty: Probe) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect(receive=16 * KIB)
            began = time.monotonic()
            client.get(f"/large?size={16 * MIB}")
            await eventually(lambda: hasty.state().connections == 0, 1 + 2 * LATE)
            assert time.monotonic() - began >= 0.9

    before = hasty.passed("timeouts.response")
    with hasty.unharmed():
        run(main(), 10)
    assert hasty.passed("timeouts.response") == before + 1


def test_who_takes_a_response_slowly_gets_all_of_it(hasty: Probe) -> None:
    size = 4 * MIB

    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect(receive=64 * KIB)
            client.get(f"/large?size={size}")
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"200" in head
            for _ in range(8):
                await client.reader.readexactly(size // 8)
                await asyncio.sleep(0.3)  # longer in all than `timeouts.response`

    with hasty.unharmed():
        run(main(), 10)


def test_an_upgrade_that_takes_too_long(hasty: Probe) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            began = time.monotonic()
            status, fields, _ = await status_of(connect, upgrade("/ws/late"))
            assert status == 503
            assert int(fields["retry-after"]) > 0
            assert 0.35 <= time.monotonic() - began < 0.4 + LATE
        assert hasty.passed("timeouts.upgrade") == before + 1
        stats = hasty.stats()["noted"]
        assert (stats["upgrade ended"], stats.get("late opened")) == (1, None)

    before = hasty.passed("timeouts.upgrade")
    with hasty.unharmed():
        run(main(), 10)


def test_who_answers_no_ping_is_cut(hasty: Probe) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            dead, alive = await connect(), await connect()
            began = time.monotonic()
            for client in (dead, alive):
                await client.websocket("/ws/echo")

            async def answer_pings() -> None:
                while True:
                    opcode, payload = await alive.frame()
                    assert opcode == 9
                    alive.send(frame(payload, 10))

            answering = asyncio.create_task(answer_pings())
            assert (await dead.frame())[0] == 9
            assert await dead.rest() == b""
            assert 0.7 <= time.monotonic() - began < 0.8 + LATE
            await eventually(lambda: hasty.noted("ws closed 1006") == lost + 1)
            await asyncio.sleep(0.5)
            assert not answering.done()
            answering.cancel()
            # One for the dead one, two or more for the other.
            assert hasty.passed("timeouts.ping") >= pinged + 3

    pinged = hasty.passed("timeouts.ping")
    before, lost = hasty.passed("timeouts.pong"), hasty.noted("ws closed 1006")
    with hasty.unharmed():
        run(main(), 10)
    assert hasty.passed("timeouts.pong") == before + 1


def test_a_close_that_is_not_answered(hasty: Probe) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect()
            await client.websocket("/ws/echo")
            began = time.monotonic()
            await client.say("close 4000")
            assert await client.closing() == (4000, "asked")
            await client.ends(0.4 + LATE)
            assert time.monotonic() - began >= 0.35

    before = hasty.passed("timeouts.close")
    with hasty.unharmed():
        run(main(), 10)
    assert hasty.passed("timeouts.close") == before + 1


@pytest.mark.parametrize("code", [1000, 1003, 1008, 1012, 3000, 4999])
def test_codes_that_a_handler_closes_with(hasty: Probe, code: int) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect()
            await client.websocket("/ws/echo")
            await client.say(f"close {code}")
            assert await client.closing() == (code, "asked")
            client.send(frame(code.to_bytes(2, "big"), 8))
            assert await client.rest() == b""

    before = hasty.noted(f"ws closed {code}")
    with hasty.unharmed():
        run(main(), 10)
    assert hasty.noted(f"ws closed {code}") == before + 1


def test_a_silent_stream_has_a_heartbeat(hasty: Probe) -> None:
    async def main() -> None:
        async with clients(hasty.port) as connect:
            client = await connect()
            await client.stream("/events/idle")
            assert await client.chunk() == b"data: begun\n\n"
            for _ in range(2):
                async with asyncio.timeout(2 + LATE):
                    assert (await client.chunk()).startswith(b":")

    before = hasty.passed("timeouts.heartbeat")
    with hasty.unharmed():
        run(main(), 10)
    assert hasty.passed("timeouts.heartbeat") == before + 2
