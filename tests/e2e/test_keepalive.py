"""Who is taken for dead, and who is not: any byte is life, and a loop that stood still proves nothing.

The time-outs themselves are in test_timeouts.py and test_hostile.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.e2e.probe import Probe, probing
from tests.e2e.wire import LATE, Wire, clients, frame, request, run

WAIT = 0.5
STALL = 4.0
"""Eight times as long as any client may be silent."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    names = ("header", "body", "keep_alive", "response", "ping", "pong", "close")
    settings = {f"timeouts.{name}": WAIT for name in names}
    with probing(tmp_path_factory.mktemp("keepalive"), env=settings) as running:
        yield running


async def answer_pings(client: Wire) -> None:
    while True:
        opcode, payload = await client.frame()
        assert opcode == 9, (opcode, payload)
        client.send(frame(payload, 10))


def test_any_byte_is_life(server: Probe) -> None:
    """It answers no ping, but it is in the middle of a message."""

    async def main() -> None:
        async with clients(server.port) as connect:
            client = await connect()
            await client.websocket("/ws/echo")
            message = frame(b"a long story, told byte by byte", 1)
            for byte in message:
                client.send(bytes([byte]))
                await asyncio.sleep(WAIT / 5)
            opcodes = []
            while (entry := await client.frame())[0] == 9:
                opcodes.append(9)
            assert entry == (1, b"a long story, told byte by byte")
            # Three seconds of it, six times as long as silence may last.
            assert len(message) * WAIT / 5 > 6 * WAIT

    before = server.passed("timeouts.pong")
    with server.unharmed():
        run(main())
    assert server.passed("timeouts.pong") == before


def test_a_stalled_loop_is_not_held_against_anybody(server: Probe) -> None:
    async def main() -> None:
        async with clients(server.port) as connect:
            peers = [await connect() for _ in range(50)]
            for client in peers:
                await client.websocket("/ws/echo")
            answering = [asyncio.create_task(answer_pings(client)) for client in peers]
            # Longer than silence may last: they have been pinged when it begins, and will be again.
            await asyncio.sleep(1.6 * WAIT)
            slow_head, slow_body, idle, blocker = [await connect() for _ in range(4)]
            head = request("/hello", "Content-Length: 5", method="POST")
            slow_head.send(head[:20])
            slow_body.send(head + b"12")
            idle.get("/hello")
            assert (await idle.response())[0] == 200
            began = time.monotonic()
            blocker.get(f"/block?seconds={STALL}")
            await asyncio.sleep(STALL / 2)
            # It comes while nobody listens.
            slow_head.send(head[20:] + b"12345")
            slow_body.send(b"345")
            assert (await blocker.response())[2] == b"over"
            assert time.monotonic() - began >= STALL
            for client in (slow_head, slow_body):
                status, _, body = await client.response()
                assert (status, body) == (200, b'{"size":5}')
            idle.get("/hello")
            assert (await idle.response())[0] == 200
            await asyncio.sleep(2 * WAIT)
            assert not any(task.done() for task in answering)
            for task in answering:
                task.cancel()
            await asyncio.wait(answering)
            for client in peers:
                client.send(frame(b"still here"))
            for client in peers:
                while (entry := await client.frame())[0] == 9:
                    client.send(frame(entry[1], 10))
                assert entry == (1, b"still here")

    names = ("timeouts.pong", "timeouts.header", "timeouts.body")
    before = [server.passed(name) for name in names]
    with server.unharmed():
        run(main())
    assert [server.passed(name) for name in names] == before


def test_who_died_before_is_found_after_a_stall(server: Probe) -> None:
    async def main() -> None:
        async with clients(server.port) as connect:
            dead, blocker = await connect(), await connect()
            await dead.websocket("/ws/echo")
            blocker.get(f"/block?seconds={STALL}")
            assert (await blocker.response())[2] == b"over"
            began = time.monotonic()
            await dead.ends(2 * WAIT + LATE)
            assert time.monotonic() - began >= WAIT

    before = server.passed("timeouts.pong")
    with server.unharmed():
        run(main())
    assert server.passed("timeouts.pong") == before + 1
