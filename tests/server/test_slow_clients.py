"""Clients that do not take what they are sent, over real sockets: bounds, policies, waiting."""

from __future__ import annotations

import asyncio
import socket

import pytest

from longwave.contract import Link
from longwave.limits import Limits
from longwave.server.listener import UNSENT
from longwave.types import SendStatus, SlowPolicy
from tests.server.fake_app import FakeApp
from tests.server.harness import Client, eventually, frame, loops, run_in, serve

MIB = 1024 * 1024


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(code.to_bytes(2, "big") + reason.encode(), 8)


@loops
def test_an_echo_throttles_itself(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(outgoing=64 * 1024)) as server:
            client = await Client.connect(server, limit=1024)
            await client.upgrade()
            message = b"x" * 10_000
            total = 3000

            async def send() -> None:
                for _ in range(total):
                    client.send(frame(message))
                    await client.writer.drain()

            sending = asyncio.create_task(send())
            session = app.sessions[0]
            link = session.link
            assert link is not None
            await eventually(lambda: link.buffered > 32 * 1024)
            await asyncio.sleep(0.1)
            assert len(session.messages) < total
            assert link.buffered < 128 * 1024
            for _ in range(total):
                assert await client.frame() == (1, message)
            await sending
            assert ("drained",) in session.log
            assert session.ends == []
            assert server.stats()["dropped"] == 0

    run_in(kind, main())


def numbered(link: Link, count: int) -> list[SendStatus]:
    return [link.write(link.wire.frame(b"%08d" % number * 1000, True)) for number in range(count)]


@loops
def test_a_slow_client_is_closed(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(outgoing=256 * 1024)) as server:
            client = await Client.connect(server, limit=1024)
            await client.upgrade()
            session = app.sessions[0]
            link = session.link
            assert link is not None
            statuses = numbered(link, 3000)
            order = [SendStatus.SENT, SendStatus.BUFFERED, SendStatus.CLOSED]
            assert [status for status in order if status in statuses] == order
            assert statuses == sorted(statuses, key=order.index)
            # In order up to a point, then the reason.
            number = 0
            while True:
                opcode, payload = await client.frame()
                if opcode == 8:
                    break
                assert payload[:8] == b"%08d" % number
                number += 1
            assert payload[:2] == (1013).to_bytes(2, "big")
            client.send(close_frame(1013))
            await session.gone.wait()
            assert session.ends[0][0] == 1013
            assert server.stats()["limits.outgoing"] == 1
            assert server.stats()["dropped"] > 0

    run_in(kind, main())


@loops
@pytest.mark.parametrize("policy", [SlowPolicy.DROP_NEW, SlowPolicy.DROP_OLD])
def test_what_a_slow_client_misses(kind: str, policy: SlowPolicy) -> None:
    async def main() -> None:
        app = FakeApp()
        app.policy = policy
        async with serve(app, limits=Limits(outgoing=256 * 1024)) as server:
            client = await Client.connect(server, limit=1024)
            await client.upgrade()
            session = app.sessions[0]
            link = session.link
            assert link is not None
            count = 3000
            statuses = numbered(link, count)
            assert link.buffered < 270_000
            link.ping(b"never dropped")
            got: list[int] = []
            pinged = False
            expected = count - server.stats()["dropped"]
            while len(got) < expected or not pinged:
                opcode, payload = await client.frame()
                if opcode == 9:
                    pinged = True
                else:
                    assert len(payload) == 8000
                    got.append(int(payload[:8]))
            assert got == sorted(got)
            if policy is SlowPolicy.DROP_NEW:
                taken = [n for n, status in enumerate(statuses) if status is not SendStatus.DROPPED]
                assert got == taken
                assert count - 1 not in got
            else:
                assert SendStatus.DROPPED not in statuses
                assert got[-1] == count - 1
            await eventually(lambda: ("drained",) in session.log)
            await link.drained()
            assert link.buffered == 0
            assert link.write(link.wire.frame(b"again", True)) is SendStatus.SENT
            assert await client.frame() == (1, b"again")

    run_in(kind, main())


@loops
def test_drained_waits_for_a_threshold(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(outgoing=100_000_000)) as server:
            client = await Client.connect(server, limit=1024)
            await client.upgrade()
            link = app.sessions[0].link
            assert link is not None
            await link.drained()
            link.write(link.wire.frame(b"x" * 30_000_000, False))
            levels = (20_000_000, 5_000_000, 0)
            waiting = [asyncio.create_task(link.drained(level)) for level in levels]
            cancelled = asyncio.create_task(link.drained(10_000_000))
            await asyncio.sleep(0.05)
            assert not any(task.done() for task in waiting)
            cancelled.cancel()
            # What is written meanwhile keeps its place.
            link.write(link.wire.frame(b"after", True))

            async def read() -> None:
                assert len((await client.frame())[1]) == 30_000_000
                assert await client.frame() == (1, b"after")

            reading = asyncio.create_task(read())
            for task, level in zip(waiting, levels, strict=True):
                await task
                assert link.buffered <= level
            await reading
            assert link.buffered == 0

    run_in(kind, main())


@loops
def test_all_outgoing_buffers_have_a_bound(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        limits = Limits(outgoing=4_000_000, outgoing_total=16_000_000)
        async with serve(app, limits=limits) as server:
            clients = []
            for _ in range(8):
                client = await Client.connect(server, limit=1024)
                clients.append(client)
                await client.upgrade()
            piece = b"\x82\x7f" + (250_000).to_bytes(8, "big") + b"x" * 250_000
            for _ in range(60):
                for session in app.sessions[-8:]:
                    assert session.link is not None
                    if session.link.buffered < 3_500_000:
                        session.link.write(piece)
                await asyncio.sleep(0)
            waiting = 0
            for session in app.sessions[-8:]:
                assert session.link is not None
                waiting += session.link.buffered if session.link.write(b"") is not SendStatus.CLOSED else 0
            # Looked at again when as much as one buffer may hold has come since.
            assert waiting <= limits.outgoing_total + limits.outgoing + len(piece)
            assert server.stats()["limits.outgoing_total"] > 0
            for client in clients:
                client.reset()

    run_in(kind, main())


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the kernel cannot be told")
@loops
def test_the_kernel_keeps_little_of_what_waits(kind: str) -> None:
    """What it keeps can neither be dropped nor counted."""

    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(outgoing=16 * MIB)) as server:
            client = await Client.connect(server, limit=1024)
            await client.upgrade()
            link = app.sessions[0].link
            assert link is not None
            piece = link.wire.frame(b"x" * 16 * 1024, False)
            for _ in range(512):
                link.write(piece)
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            taken = 512 * len(piece) - link.buffered
            # What is on its way is up to the client: it takes 128 KiB, and its transport has taken some.
            assert taken <= UNSENT + MIB

    run_in(kind, main())
