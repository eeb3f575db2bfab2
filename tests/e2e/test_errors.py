"""An error in every kind of hook, handler, generator and callback harms nobody else (check 20)."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import pytest

from tests.e2e.probe import Probe, probing
from tests.e2e.wire import Connect, Wire, clients, eventually, frame, run, upgrade

Case: TypeAlias = Callable[[Connect, str, str], Awaitable[None]]
"""Fails once: how to connect, the kind of error, its number."""

HOOKS = ("upgrade", "open", "message", "close", "drain", "error", "ping", "pong")
WAYS = ("sync", "async", "blocking")
DRAIN = 6 * 1024 * 1024
"""Bytes that are more than the kernel takes for a client with a small buffer."""
DRAIN_EVERY = 5
"""Rounds of which one has errors of the drain hook, which take many bytes each."""
RECORD = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ (ERROR|WARNING|CRITICAL) ", re.MULTILINE)


def query(kind: str, number: str) -> str:
    return f"?fail={quote(kind)}&id={number}"


async def asked(
    connect: Connect, method: str, path: str, kind: str, number: str
) -> tuple[Wire, int, dict[str, str], bytes]:
    client = await connect()
    client.get(path + query(kind, number), method=method)
    return client, *await client.response()


async def noted(connect: Connect, what: str) -> bool:
    """Return whether the project noted something."""
    client = await connect()
    client.get("/stats", "Connection: close")
    _, _, body = await client.response()
    client.close()
    return what in json.loads(body)["noted"]


def failing_hook(way: str) -> Case:
    async def case(connect: Connect, hook: str, number: str) -> None:
        client = await connect(receive=16_384 if hook == "drain" else None)
        path = f"/fail/ws_{way}{query(hook, number)}"
        if hook == "upgrade":
            client.send(upgrade(path))
            status, _, body = await client.response()
            assert (status, b"boom" in body) == (500, False)
            return
        await client.websocket(path)
        if hook in ("message", "error"):
            await client.say("now")
        elif hook in ("ping", "pong"):
            client.send(frame(b"now", 9 if hook == "ping" else 10))
        elif hook == "drain":
            # While it takes nothing the kernel cannot pass on all of it.
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.say(str(DRAIN))
            await eventually(lambda: noted(connect, f"sent {number}"))
            # A hook in a thread has only handed it over by then: the loop's next turns write it.
            for _ in range(2):
                assert await noted(connect, f"sent {number}")
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            opcode, payload = await client.frame()
            assert (opcode, len(payload)) == (2, DRAIN)
        elif hook == "close":
            await client.say("before")
            assert await client.text() == "before"
            client.send(frame(b"\x03\xe8", 8))
            assert await client.closing() == (1000, "")
            return
        assert await client.closing() == (1011, "")
        client.send(frame(b"\x03\xf3", 8))
        assert await client.rest() == b""

    return case


async def failing_task(connect: Connect, kind: str, number: str) -> None:
    client = await connect()
    await client.websocket(f"/fail/ws_tasks{query(kind, number)}")
    await client.say("once")
    # The connection stays, and its error hook is told.
    assert {await client.text(), await client.text()} == {"once", f"heard boom {number}."}
    client.send(frame(b"\x03\xe8", 8))
    assert await client.closing() == (1000, "")


def failing_handler(method: str, path: str) -> Case:
    async def case(connect: Connect, kind: str, number: str) -> None:
        client, status, fields, body = await asked(connect, method, path, kind, number)
        assert status == 500
        assert body == b'{"error":true,"status":500,"message":"Server Error","unhandled":true}'
        assert fields["content-type"] == "application/json"
        # The connection is as good as before.
        client.get(path + "?fail=never", method="GET")
        assert (await client.response())[0] == 200

    return case


async def failing_stream(connect: Connect, kind: str, number: str) -> None:
    """The head is out: the stream ends in order after what came before."""
    client, status, _, body = await asked(connect, "GET", "/fail/generator", kind, number)
    assert (status, body) == (200, b"data: first\n\n")
    client.get("/hello")
    assert (await client.response())[2] == b"hello"


async def failing_after_push(connect: Connect, kind: str, number: str) -> None:
    _, status, _, body = await asked(connect, "PATCH", "/fail/http", kind, number)
    assert (status, body) == (200, b"data: begun\n\n")


async def failing_body(connect: Connect, kind: str, number: str) -> None:
    """Only a body that is cut short tells the client."""
    client = await connect()
    client.get("/fail/http" + query(kind, number), method="PUT")
    status, _, _ = await client.response(head_only=True)
    assert status == 200
    assert await client.rest() == b"5\r\nfirst\r\n"


async def failing_beside(connect: Connect, kind: str, number: str) -> None:
    """A task of a stream fails, and a callback at its end: the stream goes on until the client goes."""
    client = await connect()
    client.get("/fail/http" + query(kind, number), method="PATCH")
    assert (await client.response(head_only=True))[0] == 200
    assert await client.chunk() == b"data: begun\n\n"
    client.finish()
    await client.rest()


BARE: dict[str, tuple[str, Case]] = {
    **{f"{hook} hook, {way}": (hook, failing_hook(way)) for hook in HOOKS for way in WAYS},
    "task of a peer": ("spawn", failing_task),
    "timer of a peer": ("every", failing_task),
    "sync handler": ("sync", failing_handler("GET", "/fail/http")),
    "async handler": ("async", failing_handler("POST", "/fail/http")),
    "blocking handler": ("blocking", failing_handler("GET", "/fail/blocking")),
    "generator before its first item": ("before", failing_handler("GET", "/fail/generator")),
    "generator after its first item": ("after", failing_stream),
    "handler after its first push": ("handler", failing_after_push),
    "streamed body": ("body", failing_body),
    "task of a stream": ("spawn", failing_beside),
    "timer of a stream": ("every", failing_beside),
    "callback at the end": ("closed", failing_beside),
    "async callback at the end": ("closed later", failing_beside),
}
LAYERED: dict[str, tuple[str, Case]] = {
    "middleware": ("middleware", failing_handler("GET", "/hello")),
    "middleware after the route": ("middleware after", failing_handler("GET", "/hello")),
    "sync handler behind middleware": ("sync", failing_handler("GET", "/fail/http")),
    "generator behind middleware": ("before", failing_handler("GET", "/fail/generator")),
    "upgrade behind middleware": ("upgrade", failing_hook("sync")),
    "hook behind middleware": ("message", failing_hook("async")),
}
TWICE = {"error"}
"""Kinds that are two errors: a hook's own, and that of the error hook which hears of it."""


class Bystanders:
    """Two people and a stream in one room, for the whole time."""

    def __init__(self, one: Wire, two: Wire, stream: Wire) -> None:
        self.one, self.two, self.stream = one, two, stream
        self.said = 0

    async def talk(self) -> None:
        """Say something: everybody hears it, next."""
        self.said += 1
        text = f"message {self.said}"
        await (self.one if self.said % 2 else self.two).say(text)
        assert await self.one.text() == text
        assert await self.two.text() == text
        assert await self.stream.chunk() == f"data: {text}\n\n".encode()


@asynccontextmanager
async def bystanders(connect: Connect) -> AsyncIterator[Bystanders]:
    one, two, stream = [await connect() for _ in range(3)]
    for client in (one, two):
        await client.websocket("/ws/chat")
        assert await client.text() == "joined"
    await stream.stream("/events/chat")
    assert await stream.chunk() == b"data: joined\n\n"
    yield Bystanders(one, two, stream)
    for client in (one, two):
        client.send(frame(b"\x03\xe8", 8))
        assert await client.closing() == (1000, "")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    settings = {"limits.outgoing": 65_536, "timeouts.close": 0.5}
    with probing(tmp_path_factory.mktemp("bare"), env=settings) as server:
        yield server


async def fail_often(server: Probe, cases: dict[str, tuple[str, Case]], rounds: int) -> list[tuple[str, str]]:
    """Let every case fail so many times, beside people who talk; return the numbers with their kinds."""
    numbers: list[tuple[str, str]] = []
    async with clients(server.port) as connect, bystanders(connect) as others:
        for turn in range(rounds):
            for name, (kind, case) in cases.items():
                if kind == "drain" and turn % DRAIN_EVERY:
                    continue
                number = str(len(numbers))
                try:
                    async with asyncio.timeout(10), clients(server.port) as own:
                        await case(own, kind, number)
                except (AssertionError, TimeoutError, OSError, EOFError) as error:
                    raise AssertionError(f"{name}, time {turn + 1}: {error!r}") from error
                numbers.append((number, kind))
                await others.talk()
    return numbers


def check_log(server: Probe, since: int, numbers: list[tuple[str, str]]) -> None:
    """Each error is one record, with its own text once."""
    wanted = sum(2 if kind in TWICE else 1 for _, kind in numbers)

    def records() -> int:
        return len(RECORD.findall(server.output[since:]))

    asyncio.run(_until(lambda: records() >= wanted))
    log = server.output[since:]
    told = re.findall(r"^\S+: boom (\d+)\.$", log, re.MULTILINE)
    assert sorted(told) == sorted(number for number, _ in numbers)
    assert records() == wanted


async def _until(condition: Callable[[], bool]) -> None:
    await eventually(condition)


def test_errors_everywhere(bare: Probe, length: Callable[[int], int]) -> None:
    rounds = max(2, length(10_000) // len(BARE))
    since = len(bare.output)
    with bare.unharmed():
        before = Counter(bare.stats()["noted"])
        numbers: list[tuple[str, str]] = []

        async def main() -> None:
            numbers.extend(await fail_often(bare, BARE, rounds))

        run(main(), 300)
        check_log(bare, since, numbers)
        noted = Counter(bare.stats()["noted"])
        noted.subtract(before)
    # The error hook hears of all hooks but upgrades, which have no peer, and of tasks.
    kinds = Counter(kind for _, kind in numbers)
    hooks = sum(kinds[hook] for hook in HOOKS) - kinds["upgrade"]
    assert noted["error hook"] == hooks + 2 * rounds
    # The second of two callbacks at the end runs also when the first one fails.
    assert noted["closed after a failure"] == (4 + 1) * rounds
    # One more is the request that follows upon an error before the first item.
    assert noted["generator closed"] == (1 + 1 + 1) * rounds


def test_errors_in_middleware_and_behind_it(tmp_path: Path, length: Callable[[int], int]) -> None:
    report = tmp_path / "report"
    settings = {"timeouts.close": 0.5, "PROBE_REPORT": report}
    rounds = max(2, length(1000) // len(LAYERED))
    with probing(tmp_path / "layered", "layers", env=settings) as server:
        with server.unharmed():
            numbers: list[tuple[str, str]] = []

            async def main() -> None:
                numbers.extend(await fail_often(server, LAYERED, rounds))

            run(main(), 100)
            check_log(server, 0, numbers)
        # A plugin that fails at its end keeps no other from it, and nothing from an end in order.
        assert server.stop() == 0
        assert report.read_text() == "plugin ended\n"
        assert len(re.findall(r"^RuntimeError: boom at the end\.$", server.output, re.MULTILINE)) == 1
        assert len(RECORD.findall(server.output)) == len(numbers) + 1
