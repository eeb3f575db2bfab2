"""How the connections of a worker are told that it stops: in parts, each in its own way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, cast

import pytest

from longwave.contract import Reply, Request, StreamReply
from longwave.server.drain import PAUSE, PER_SECOND, SHARE, drain
from longwave.server.refusals import retry_time
from longwave.server.state import Worker
from longwave.server.worker import Server, ServerOptions
from tests.server.fake_app import FakeApp
from tests.server.harness import Client, eventually, loops, run_in, serve


class FakeConnection:
    """Notes in which part it was told, and ends at once."""

    def __init__(self, worker: FakeWorker, *, lasting: bool = True, ends: bool = True) -> None:
        self.worker = worker
        self.is_lasting = lasting
        self.ends = ends
        self.told: list[tuple[int, int]] = []
        worker.connections.add(self)

    def finish(self, code: int) -> None:
        self.told.append((len(self.worker.pauses), code))
        if self.ends:
            self.is_lasting = False
            self.worker.connections.discard(self)


class FakeWorker:
    """A worker whose clock goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.connections: set[FakeConnection] = set()
        self.loop = self
        self.now = 100.0
        self.pauses: list[float] = []
        self.then: Callable[[], object] = lambda: None

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.then()

    def drain(self, seconds: float = 20.0, is_cut: Callable[[], bool] = lambda: False) -> None:
        asyncio.run(drain(cast(Worker, self), 1001, self.now + seconds, is_cut))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    fake = FakeWorker()
    monkeypatch.setattr("longwave.server.drain.asyncio.sleep", fake.sleep)
    return fake


def sizes(connections: list[FakeConnection]) -> list[int]:
    """Return how many were told in each part."""
    parts = [connection.told[0][0] for connection in connections]
    return [parts.count(part) for part in range(max(parts) + 1)]


def test_a_thousand_are_told_in_parts(worker: FakeWorker) -> None:
    lasting = [FakeConnection(worker) for _ in range(PER_SECOND)]
    idle = [FakeConnection(worker, lasting=False) for _ in range(50)]
    worker.drain()
    assert {connection.told[0] for connection in idle} == {(0, 1001)}
    assert all(len(connection.told) == 1 for connection in (*lasting, *idle))
    assert set(sizes(lasting)) == {PER_SECOND * PAUSE}
    assert all(0.5 * PAUSE <= pause <= 1.5 * PAUSE for pause in worker.pauses)
    assert len(set(worker.pauses)) > len(worker.pauses) / 2, "the pauses have no jitter"
    assert 0.7 < worker.now - 100 < 1.3
    order = [connection.told[0][0] for connection in lasting]
    assert order != sorted(order), "who came together is told together"


def test_few_are_told_at_once(worker: FakeWorker) -> None:
    for _ in range(10):
        FakeConnection(worker)
    worker.drain(0.4)
    assert worker.pauses == []


def test_very_many_take_a_part_of_the_time(worker: FakeWorker) -> None:
    lasting = [FakeConnection(worker) for _ in range(30 * PER_SECOND)]
    worker.drain(8.0)
    assert sum(sizes(lasting)) == len(lasting)
    assert 0.7 * SHARE * 8 < worker.now - 100 < 1.3 * SHARE * 8


def test_who_cuts_need_not_wait_for_the_parts(worker: FakeWorker) -> None:
    lasting = [FakeConnection(worker) for _ in range(PER_SECOND)]
    worker.drain(is_cut=lambda: len(worker.pauses) == 3)
    assert len(worker.pauses) == 3
    assert sum(bool(connection.told) for connection in lasting) == 3 * PER_SECOND * PAUSE


def test_what_becomes_a_stream_later_is_told(worker: FakeWorker) -> None:
    busy = FakeConnection(worker, lasting=False, ends=False)

    def then() -> None:
        if len(worker.pauses) == 5:
            busy.is_lasting = busy.ends = True

    worker.then = then
    worker.drain()
    assert busy.told == [(0, 1001), (5, 1001)]


def test_nobody_is_waited_for_longer_than_the_limit(worker: FakeWorker) -> None:
    FakeConnection(worker, lasting=False, ends=False)
    worker.drain(3.0)
    assert 3.0 <= worker.now - 100 < 3.1


def test_when_to_come_back() -> None:
    told = [retry_time() for _ in range(1000)]
    assert min(told) >= 2000 and max(told) <= 10000
    assert len(set(told)) > 800
    assert retry_time(1012) == 100


class LateApp(FakeApp):
    """`/late` becomes an event stream when it is allowed to go on."""

    async def on_late(self, request: Request) -> Reply:
        await self.go_on.wait()
        return StreamReply(200, [(b"content-type", b"text/event-stream")], self.session(), "sse")


@loops
@pytest.mark.parametrize("path", ["/sse", "/late"])
@pytest.mark.parametrize(("code", "soonest", "latest"), [(1001, 2000, 10000), (1012, 100, 100)])
def test_streams_are_told_when_to_come_back(
    kind: str, path: str, code: int, soonest: int, latest: int
) -> None:
    async def main() -> None:
        app = LateApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            client.get(path)
            await eventually(lambda: len(app.requests) == 1)
            stopping = asyncio.create_task(server.stop(5, code))
            if path == "/late":
                await asyncio.sleep(0.05)
                app.go_on.set()
            status, _, body = await client.response()
            assert status == 200
            retry = int(body.removeprefix(b"retry: ").removesuffix(b"\n\n"))
            assert soonest <= retry <= latest
            assert await client.rest() == b""
            await asyncio.wait_for(stopping, 2)
            assert app.sessions[0].ends == [(code, "")]

    run_in(kind, main())


@loops
def test_a_signal_ends_a_start_that_does_not_come_to_an_end(kind: str) -> None:
    class Slow(FakeApp):
        async def startup(self) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                self.log.append("given up")

    async def main() -> None:
        app = Slow()
        began: list[Any] = []
        server = Server(app, ServerOptions(port=0))
        serving = asyncio.create_task(server.serve_until_signal(lambda: began.append(1)))
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving, 2)
        assert app.log == ["given up"]
        assert began == []

    run_in(kind, main())
