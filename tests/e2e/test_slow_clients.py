"""Clients that do not take what they are sent: bounds, policies, and what the server says of them (check 19).

On our server and under ASGI.

What the kernel takes for a client that reads nothing is several MiB; it comes on top of each bound.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from tests.e2e.probe import MIB, AsgiProbe, Probe, probing
from tests.e2e.wire import LATE, Connect, Wire, clients, eventually, frame, run

KIB = 1024
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module", params=["longwave", "uvicorn", "hypercorn"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server with little room for what waits."""
    settings = {
        "limits.outgoing": 64 * KIB,
        "limits.unfinished_total": 200_000,
        "limits.waiting_messages": 4,
        "limits.message_rate": 0,
        "timeouts.close": 0.5,
    }
    folder = tmp_path_factory.mktemp(f"small-{request.param}")
    with probing(folder, env=settings, server=request.param) as server:
        yield server


PIECE = 8 * KIB
BOUND = 64 * KIB
"""`limits.outgoing` of the server with little room."""


class Flood:
    """Publishes numbered messages to all that listen, until enough waits."""

    def __init__(self, server: Probe) -> None:
        self.server = server
        self.count = 0
        self._step = 1

    def publish(self, count: int) -> list[int]:
        """Publish; return what waits for each peer."""
        path = f"/flood?start={self.count}&count={count}&size={PIECE}"
        self.count += count
        buffered: list[int] = self.server.ask("POST", path)["buffered"]
        return buffered

    def step(self) -> list[int]:
        """Publish one, or some while nothing waits, which is quicker; return what waits then."""
        self.publish(self._step)
        buffered: list[int] = self.server.ask("GET", "/flood")["buffered"]
        # The kernel has room for hundreds; these few stay below half the bound even if it takes none.
        self._step = 3 if buffered and not any(buffered) else 1
        return buffered

    def fill(self, enough: Callable[[list[int]], bool]) -> list[int]:
        """Publish step by step until something holds of what waits."""
        for _ in range(4000):
            buffered = self.step()
            if enough(buffered):
                return buffered
        raise AssertionError(f"never: {buffered}")


async def listen(connect: Connect, policy: str) -> Wire:
    client = await connect(receive=16 * KIB)
    await client.websocket(f"/ws/flood/{policy}")
    await client.say("ready")
    assert await client.text() == "ready"
    return client


async def numbers_of(client: Wire, last: int) -> list[int]:
    """Read numbered messages up to one."""
    numbers: list[int] = []
    while not numbers or numbers[-1] != last:
        text = await client.text()
        assert len(text) == PIECE
        numbers.append(int(text))
    return numbers


def test_a_slow_peer_is_closed(small: Probe) -> None:
    async def main() -> None:
        async with clients(small.port) as connect:
            slow, quick = await listen(connect, "close"), await listen(connect, "close")
            reading = asyncio.create_task(numbers_of_all(quick))
            flood = Flood(small)
            most = 0

            def closed() -> bool:
                nonlocal most
                most = max(most, *flood.step())
                return small.passed("limits.outgoing") > before

            while not await asyncio.to_thread(closed):
                pass
            assert BOUND / 2 < most <= BOUND + PIECE + 10
            numbers: list[int] = []
            while True:
                opcode, payload = await slow.message()
                if opcode == 8:
                    break
                numbers.append(int(payload))
            assert int.from_bytes(payload[:2], "big") == 1013
            # All that it was sent before is there, without a hole.
            assert numbers == list(range(len(numbers)))
            slow.send(frame(payload, 8))
            assert await slow.rest() == b""
            await eventually(lambda: len(got) == flood.count)
            assert got == list(range(flood.count))
            reading.cancel()

    got: list[int] = []

    async def numbers_of_all(client: Wire) -> None:
        while True:
            got.append(int(await client.text()))

    before = small.passed("limits.outgoing")
    with small.unharmed():
        run(main(), 50)
    assert small.passed("limits.outgoing") == before + 1


@pytest.mark.parametrize("policy", ["drop_new", "drop_old"])
def test_messages_to_a_slow_peer_are_dropped(small: Probe, policy: str) -> None:
    def dropped() -> int:
        # All messages are of one size: for each that comes, one goes.
        return small.passed("limits.outgoing")

    async def main() -> None:
        async with clients(small.port) as connect:
            slow = await listen(connect, policy)
            flood = Flood(small)
            before, drained = dropped(), small.noted("drained")
            await asyncio.to_thread(flood.fill, lambda _: dropped() >= before + 20)
            (buffered,) = small.ask("GET", "/flood")["buffered"]
            assert BOUND - PIECE <= buffered <= BOUND + PIECE + 10
            last = flood.count - 1
            if policy == "drop_old":
                numbers = await numbers_of(slow, last)
            else:
                waits = flood.count - (dropped() - before)
                numbers = await numbers_of(slow, waits - 1)
            lost = dropped() - before
            assert numbers == sorted(set(numbers))
            assert len(numbers) == flood.count - lost
            if policy == "drop_new":
                assert numbers == list(range(len(numbers)))
            else:
                holes = [one for one, two in pairwise(numbers) if two != one + 1]
                assert len(holes) == 1  # the oldest of those that waited, one behind the other
            # It is as good as before.
            await eventually(lambda: small.noted("drained") == drained + 1)
            flood.publish(2)
            assert await numbers_of(slow, flood.count - 1) == [flood.count - 2, flood.count - 1]
            assert dropped() - before == lost

    with small.unharmed():
        run(main(), 50)


def test_what_is_said_of_the_buffer_is_true(small: Probe) -> None:
    async def main() -> None:
        async with clients(small.port) as connect:
            slow = await listen(connect, "close")
            flood = Flood(small)
            (buffered,) = await asyncio.to_thread(flood.fill, lambda sizes: sizes[0] > BOUND // 4)
            # Each further message is exactly as long as it is, and its header where that is ours.
            whole = PIECE if isinstance(small, AsgiProbe) else PIECE + 4
            (more,) = flood.publish(1)
            (later,) = small.ask("GET", "/flood")["buffered"]
            assert more in (buffered, buffered + whole)
            assert later == buffered + whole
            waited = await asyncio.to_thread(small.ask, "PUT", "/flood?timeout=0.2")
            assert waited == {"timeout": True, "buffered": later}
            asked = small.noted("waiting for drain")
            waiting = asyncio.create_task(asyncio.to_thread(small.ask, "PUT", "/flood?timeout=20"))
            await eventually(lambda: small.noted("waiting for drain") == asked + 1)
            await asyncio.sleep(0.1)
            assert not waiting.done()
            assert await numbers_of(slow, flood.count - 1) == list(range(flood.count))
            assert await waiting == {"timeout": False, "buffered": 0}
            # Who waits for a peer that goes away does not wait for ever.
            await asyncio.to_thread(flood.fill, lambda sizes: sizes[0] > BOUND // 4)
            waiting = asyncio.create_task(asyncio.to_thread(small.ask, "PUT", "/flood?timeout=20"))
            await eventually(lambda: small.noted("waiting for drain") == asked + 2)
            slow.reset()
            assert await asyncio.wait_for(waiting, 3 * LATE) == {"timeout": False, "buffered": 0}

    with small.unharmed():
        run(main(), 50)


def test_a_slow_stream_on_a_topic_ends(small: Probe) -> None:
    async def main() -> None:
        async with clients(small.port) as connect:
            slow = await connect(receive=16 * KIB)
            await slow.stream("/events/flood")
            assert await slow.chunk() == b"data: begun\n\n"
            flood, closed = Flood(small), small.noted("stream closed")
            await asyncio.to_thread(flood.fill, lambda _: small.noted("stream closed") > closed)
            # It ends in order, with a last chunk, so that EventSource comes back.
            body = b"".join([piece async for piece in slow.chunks()])
            numbers = [int(number) for number in re.findall(rb"data: (\d+)", body)]
            assert numbers == list(range(len(numbers)))
            assert small.noted("stream closed") == closed + 1

    before = small.passed("limits.outgoing")
    with small.unharmed():
        run(main(), 50)
    assert small.passed("limits.outgoing") > before


def test_a_push_waits_for_a_slow_client(small: Probe) -> None:
    count = 2000

    async def main() -> None:
        async with clients(small.port) as connect:
            slow = await connect(receive=16 * KIB)
            already = small.noted("pushed")
            await slow.stream(f"/events/push?size={PIECE}&count={count}")
            pushed = -1
            while pushed != (pushed := small.noted("pushed")):
                await asyncio.sleep(0.2)
            assert pushed - already < count
            assert small.state().waiting <= BOUND + PIECE
            body = b"".join([piece async for piece in slow.chunks()])
            assert [int(number) for number in re.findall(rb"data: (\d+)", body)] == list(range(count))
            assert body.endswith(b"id: longwave-end\nevent: longwave:end\ndata: \n\n")

    with small.unharmed():
        run(main(), 50)


def test_all_outgoing_buffers_together(tmp_path_factory: pytest.TempPathFactory) -> None:
    total = 3 * MIB

    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            peers = [await listen(connect, "close") for _ in range(5)]
            flood = Flood(server)
            await asyncio.to_thread(flood.fill, lambda _: server.passed("limits.outgoing_total") > 0)
            assert server.passed("limits.outgoing") == 0, "none of them was over its own bound"
            # Those that are closed may have all that came before it.
            flood.publish(1)
            last = flood.count - 1
            ends: list[int] = []
            for client in peers:
                numbers: list[int] = []
                while not numbers or numbers[-1] != last:
                    opcode, payload = await client.message()
                    if opcode == 8:
                        ends.append(int.from_bytes(payload[:2], "big"))
                        break
                    numbers.append(int(payload))
                assert numbers == list(range(len(numbers)))
            assert 0 < len(ends) < len(peers)
            assert set(ends) == {1013}

    folder = tmp_path_factory.mktemp("total")
    # The kernel takes more for one than for another: none may come to its own bound before all to theirs.
    settings = {"limits.outgoing": 4 * MIB, "limits.outgoing_total": total, "timeouts.close": 0.5}
    with probing(folder, env=settings) as server, server.unharmed():
        run(main(server), 50)
