"""Limits of WebSocket messages, passed over real sockets (check 9)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.measuring import TOLERANCE, once_more
from tests.e2e.probe import MIB, Probe, probing
from tests.e2e.wire import clients, eventually, frame, measured, run

KIB = 1024
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server as it comes, but that a close is not waited for so long."""
    with probing(tmp_path_factory.mktemp("defaults"), env={"timeouts.close": 0.5}) as server:
        yield server


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server with little room for what waits."""
    settings = {
        "limits.outgoing": 64 * KIB,
        "limits.unfinished_total": 200_000,
        "limits.waiting_messages": 4,
        "limits.message_rate": 0,
        "timeouts.close": 0.5,
    }
    with probing(tmp_path_factory.mktemp("small"), env=settings) as server:
        yield server


MESSAGES = {
    "a message at the limit": (None, [frame(b"m" * MIB)]),
    "a message past it": ((1009, "limits.message"), [frame(b"m" * (MIB + 1))]),
    "a header that says too much": (
        (1009, "limits.message"),
        [b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask"],
    ),
    "two frames past it": ((1009, "limits.message"), [frame(b"m" * MIB, final=False), frame(b"m", 0)]),
    "4 096 frames": (
        None,
        [frame(b"f", final=False), frame(b"f", 0, final=False) * 4094, frame(b"f" * (MIB - 4095), 0)],
    ),
    "4 097 frames": (
        (1008, "limits.fragments"),
        [frame(b"f", final=False), frame(b"f", 0, final=False) * 4095, frame(b"f", 0)],
    ),
}


AT_ONCE = 0.1
"""Seconds in which a message past its limit is refused (check 3)."""


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_at_a_limit_and_past_it(defaults: Probe, name: str) -> None:
    refusal, pieces = MESSAGES[name]
    took: list[float] = []

    async def main() -> None:
        async with clients(defaults.port) as connect:
            client = await connect()
            await client.websocket("/ws/echo")
            for piece in pieces:
                client.send(piece)
            began = time.monotonic()
            if refusal is None:
                opcode, payload = await client.frame()
                assert (opcode, len(payload)) == (1, MIB)
            else:
                code, _ = await client.closing()
                took.append(time.monotonic() - began)
                assert code == refusal[0]
                assert await client.rest() == b""

    before = 0 if refusal is None else defaults.passed(refusal[1])

    def play() -> float:
        with defaults.unharmed():
            run(main(), 10)
        return took[-1] if took else 0.0

    best = once_more(play, lambda seconds: seconds <= AT_ONCE)
    if refusal is not None:
        measured("seconds to the refusal", best)
        assert best <= AT_ONCE * TOLERANCE
        assert defaults.passed(refusal[1]) == before + len(took)


def test_topics(defaults: Probe) -> None:
    async def main() -> None:
        async with clients(defaults.port) as connect:

            async def answer(text: str) -> dict[str, Any]:
                client = await connect()
                await client.websocket("/ws/topics")
                await client.say(text)
                result: dict[str, Any] = json.loads(await client.text())
                await client.say("length 1")
                await client.text()  # it is still there
                return result

            assert await answer("count 1024") == {"topics": 1024}
            past = await answer("count 1025")
            assert (past["error"], past["topics"]) == ("LimitError", 1024)
            assert "limits.topics_per_peer" in past["message"]
            assert await answer("length 256") == {"topics": 1}
            long = await answer("length 257")
            assert (long["error"], long["topics"]) == ("ValueError", 0)
            assert "limits.topic_length" in long["message"]

    counted = ("limits.topics_per_peer", "limits.topic_length")
    before = [defaults.passed(name) for name in counted]
    with defaults.unharmed():
        run(main(), 10)
    # The last word of those who have 1 024 topics is one more.
    assert [defaults.passed(name) for name in counted] == [before[0] + 3, before[1] + 1]


def test_a_client_has_its_share_of_messages(defaults: Probe) -> None:
    count = 1500

    async def main() -> None:
        async with clients(defaults.port) as connect:
            client = await connect()
            await client.websocket("/ws/topics")
            client.send(b"".join(frame(b"length 1") for _ in range(count)))
            for _ in range(count):
                await client.text()

    # It takes no time to speak of: where the machine is busy, some turns end by their time.
    def ended() -> int:
        return defaults.passed("limits.messages_per_turn") + defaults.passed("timeouts.turn")

    before, by_time = ended(), defaults.passed("timeouts.turn")
    with defaults.unharmed():
        run(main(), 30)
    assert ended() - before >= count // 256 - 1
    assert defaults.passed("limits.messages_per_turn") > before - by_time


def test_others_get_their_turn(defaults: Probe) -> None:
    count = 1500

    async def main() -> None:
        async with clients(defaults.port) as connect:
            flood, other = await connect(), await connect()
            await flood.websocket("/ws/busy")
            await other.websocket("/ws/echo")
            flood.send(b"".join(frame(b"%d" % number) for number in range(count)))
            assert await flood.text() == "0"
            for number in range(5):
                await other.say(f"other {number}")
                assert await other.text() == f"other {number}"
            assert defaults.noted("busy") < count
            for number in range(1, count):
                assert await flood.text() == str(number)

    before = defaults.passed("timeouts.turn")
    with defaults.unharmed():
        run(main(), 30)
    assert defaults.passed("timeouts.turn") >= before + 50


def test_messages_that_wait_for_a_hook(small: Probe) -> None:
    async def main() -> None:
        async with clients(small.port) as connect:
            client = await connect()
            await client.websocket("/ws/waiting")
            before = small.stats()["server"]["messages"]
            for number in range(50):
                await client.say(str(number))
            await asyncio.sleep(0.2)
            # One runs, four wait, and nothing more is read.
            assert small.stats()["server"]["messages"] == before + 1 + 4
            other = await connect()
            other.get("/slow", method="POST")
            assert (await other.response())[2] == b"released"
            assert [await client.text() for _ in range(50)] == [str(number) for number in range(50)]

    before = small.passed("limits.waiting_messages")
    with small.unharmed():
        run(main(), 10)
    assert small.passed("limits.waiting_messages") > before


def test_all_unfinished_messages_together(small: Probe) -> None:
    async def main() -> None:
        async with clients(small.port) as connect:
            large, little = await connect(), await connect()
            for client in (large, little):
                await client.websocket("/ws/echo")
            whole = frame(b"w" * 300_000)
            large.send(whole[:150_000])
            await eventually(lambda: small.stats()["server"]["unfinished"] > 140_000)
            rest = frame(b"r" * 100_000)
            little.send(rest[:90_000])
            assert (await large.closing())[0] == 1009
            little.send(rest[90_000:])
            assert len((await little.frame())[1]) == 100_000

    before = small.passed("limits.unfinished_total")
    with small.unharmed():
        run(main(), 10)
    assert small.passed("limits.unfinished_total") == before + 1


def test_messages_per_second(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            hasty, calm = await connect(), await connect()
            for client in (hasty, calm):
                await client.websocket("/ws/echo")
            hasty.send(b"".join(frame(b"%d" % number) for number in range(100)))
            numbers = []
            while True:
                opcode, payload = await hasty.frame()
                if opcode == 8:
                    break
                numbers.append(int(payload))
            assert int.from_bytes(payload[:2], "big") == 1008
            # As many as a second has, and what came into the bucket meanwhile.
            assert numbers == list(range(len(numbers)))
            assert 20 <= len(numbers) <= 22
            for number in range(30):
                await calm.say(str(number))
                assert await calm.text() == str(number)
                await asyncio.sleep(0.02)

    with probing(
        tmp_path_factory.mktemp("rate"), env={"limits.message_rate": 20, "timeouts.close": 0.5}
    ) as server:
        with server.unharmed():
            run(main(server), 30)
        assert server.passed("limits.message_rate") == 1
