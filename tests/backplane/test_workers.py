"""Workers that share publications over Unix sockets: several of them in one loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from longwave.app.app import App
from longwave.app.hooks import define_websocket_handler
from longwave.backplane.frames import Hello, Lost, encode_frame
from longwave.backplane.workers import WorkersBackplane
from longwave.errors import BackplaneError
from longwave.hub.drivers import Envelope
from tests.app.harness import connect, make_app

loops = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's, whose names are too long for a socket.
    path = Path(tempfile.mkdtemp(prefix="lw-"))
    yield path
    shutil.rmtree(path)


class Member:
    """A worker as its hub sees it."""

    def __init__(self, folder: Path, bound: int = 1 << 24) -> None:
        self.backplane = WorkersBackplane(folder, bound)
        self.heard: list[bytes] = []
        self.changed = asyncio.Event()
        self.node = os.urandom(4).hex()

    async def start(self) -> None:
        await self.backplane.start(self._hear)

    def publish(self, topic: str, payload: bytes) -> None:
        self.backplane.publish(Envelope(self.node, topic, payload, False))

    def stat(self, name: str) -> int:
        return self.backplane.stats()[name]

    async def hears(self, *payloads: bytes) -> None:
        """Wait for just these."""
        while self.heard[: len(payloads)] != list(payloads):
            assert len(self.heard) < len(payloads), self.heard
            self.changed.clear()
            await self.changed.wait()
        assert self.heard == list(payloads)
        self.heard.clear()

    def _hear(self, envelope: Envelope) -> None:
        self.heard.append(envelope.payload)
        self.changed.set()


@asynccontextmanager
async def members(folder: Path, count: int = 2, bound: int = 1 << 24) -> AsyncIterator[list[Member]]:
    found = [Member(folder, bound) for _ in range(count)]
    for member in found:
        await member.start()
    try:
        yield found
    finally:
        for member in found:
            await member.backplane.close()
        assert list(folder.iterdir()) == []


def run(kind: str, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    factory = uvloop.new_event_loop if kind == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(test(), 10))


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@loops
def test_a_publication_comes_once_in_order_to_who_listens(kind: str, folder: Path) -> None:
    async def check() -> None:
        async with members(folder, 3) as (a, b, c):
            b.backplane.watch("room")
            c.backplane.watch("other")
            for number in range(100):
                a.publish("room", b"%d" % number)
            await b.hears(*(b"%d" % number for number in range(100)))
            c.publish("room", b"from c")
            a.publish("other", b"to c")
            await b.hears(b"from c")
            await c.hears(b"to c")
            assert a.heard == []
            assert (a.stat("sent"), b.stat("received"), c.stat("received")) == (101, 101, 1)
            b.backplane.unwatch("room")
            a.publish("room", b"nobody")
            assert a.stat("sent") == 101

    run(kind, check)


@loops
def test_what_is_published_in_one_turn_is_one_write(kind: str, folder: Path) -> None:
    async def check() -> None:
        async with members(folder) as (a, b):
            await b.backplane.watch("room")
            (sender,) = a.backplane._senders.values()
            writes = []
            write = sender._write
            sender._write = lambda: writes.append(len(sender._unsent)) or write()  # type: ignore[func-returns-value, method-assign]
            for number in range(50):
                a.publish("room", b"%d" % number)
            await b.hears(*(b"%d" % number for number in range(50)))
            assert writes == [1]

    run(kind, check)


@loops
def test_one_that_starts_later_misses_nothing_from_its_start_on(kind: str, folder: Path) -> None:
    async def check() -> None:
        async with members(folder) as (a, b):
            for member in (a, b):
                member.backplane.watch("room")
            late = Member(folder)
            await late.start()
            late.backplane.watch("room")
            # No turn of the loop in between.
            a.publish("room", b"1")
            b.publish("room", b"2")
            late.publish("room", b"3")
            await until(lambda: sorted(late.heard) == [b"1", b"2"])
            await until(lambda: sorted(a.heard) == [b"2", b"3"])
            await late.backplane.close()
            await until(lambda: a.stat("workers") == 1)

    run(kind, check)


@loops
def test_workers_that_start_at_once_all_meet(kind: str, folder: Path) -> None:
    async def check() -> None:
        found = [Member(folder) for _ in range(6)]
        await asyncio.gather(*(member.start() for member in found))
        await until(lambda: all(member.stat("workers") == 5 for member in found))
        for member in found:
            member.backplane.watch("room")
        for number, member in enumerate(found):
            member.publish("room", b"%d" % number)
        for number, member in enumerate(found):
            await until(lambda m=member: len(m.heard) == 5)  # type: ignore[misc]
            assert sorted(member.heard) == [b"%d" % n for n in range(6) if n != number]
        await asyncio.gather(*(member.backplane.close() for member in found))

    run(kind, check)


@loops
def test_what_is_published_last_is_handed_over(kind: str, folder: Path) -> None:
    async def check() -> None:
        async with members(folder) as (a, b):
            b.backplane.watch("room")
            payloads = [bytes([number]) * 100_000 for number in range(40)]
            for payload in payloads:
                a.publish("room", payload)
            await a.backplane.close()
            await b.hears(*payloads)

    run(kind, check)


def test_who_takes_nothing_holds_nobody_up_and_is_told_what_it_missed(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with members(folder, 2, bound=100_000) as (a, b):
            b.backplane.watch("room")
            with Stalled(folder, a.backplane) as stalled:
                await stalled.meet()
                size = 10_000
                for number in range(200):
                    a.publish("room", b"%d" % number + bytes(size))
                    await asyncio.sleep(0)
                await until(lambda: len(b.heard) == 200)
                dropped = a.stat("limits.backplane")
                assert 100 < dropped < 190
                assert a.stat("waiting_bytes") <= 100_000 + 2 * size
                assert a.stat("sent") == 400 - dropped
                # It takes something again.
                await until(lambda: stalled.take() and a.stat("waiting_bytes") == 0)
                # It is told at once: perhaps nothing more is published.
                await until(lambda: stalled.take() and encode_frame(Lost(dropped)) in stalled.held)
                a.publish("room", b"end")
                await until(
                    lambda: stalled.take() and stalled.held.endswith(b"\xc4\x03end\xc2\xc0\xc0\xc0\xc0")
                )
                assert stalled.held.count(encode_frame(Lost(dropped))) == 1
                assert stalled.held.count(bytes(size)) == 200 - dropped

    run("asyncio", check)
    assert caplog.text.count("takes nothing") == caplog.text.count("goes on") == 1


class Stalled:
    """A worker that greets, listens to every topic, and reads only when it is told to."""

    def __init__(self, folder: Path, other: WorkersBackplane) -> None:
        self.name = f"1-{os.urandom(8).hex()}"
        self.path = folder / f"{self.name}.sock"
        self.topics = folder / f"{self.name}.topics"
        self.held = b""
        self._other = folder / f"{other._name}.sock"

    def __enter__(self) -> Stalled:
        self.topics.write_bytes(b"\x01" * 2**18)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.out = socket.socket(socket.AF_UNIX)
        self.out.connect(str(self._other))
        return self

    async def meet(self) -> None:
        self.out.sendall(encode_frame(Hello(1, self.name)))
        self.listener.setblocking(False)
        self.taken, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.taken.setblocking(False)

    def take(self) -> bool:
        try:
            while data := self.taken.recv(1 << 20):
                self.held += data
        except BlockingIOError:
            pass
        return True

    def __exit__(self, *_: object) -> None:
        for sock in (self.listener, self.out, self.taken):
            sock.close()
        for path in (self.path, self.topics):
            path.unlink(missing_ok=True)


@loops
@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode_frame(Lost(7)),
        encode_frame(Envelope("n", "room", b"unasked", True)),
        encode_frame(Hello(99, "1-0123456789abcdef")),
        encode_frame(Hello(1, "../../etc/passwd")),
        encode_frame(Hello(1, "1-0123456789abcdef")) * 2,
        b"\xff\xff\xff\xff",
    ],
)
def test_hostile_bytes_end_their_connection_and_are_counted(kind: str, folder: Path, data: bytes) -> None:
    async def check() -> None:
        async with members(folder) as (a, b):
            b.backplane.watch("room")
            reader, writer = await asyncio.open_unix_connection(str(folder / f"{b.backplane._name}.sock"))
            writer.write(data)
            assert await reader.read() == b""
            writer.close()
            await until(lambda: b.stat("malformed") == 1)
            a.publish("room", b"x")
            await b.hears(b"x")

    run(kind, check)


@loops
def test_what_a_killed_worker_left_behind_is_cleared_away(kind: str, folder: Path) -> None:
    async def check() -> None:
        name = f"7-{os.urandom(8).hex()}"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder / f"{name}.sock"))
            dead.listen()
        (folder / f"{name}.topics").write_bytes(bytes(2**18))
        (folder / "note.sock").touch()
        async with members(folder) as (a, b):
            b.backplane.watch("room")
            a.publish("room", b"x")
            await b.hears(b"x")
            (folder / "note.sock").unlink()

    run(kind, check)


@loops
def test_a_connection_that_breaks_is_made_again(kind: str, folder: Path) -> None:
    async def check() -> None:
        async with members(folder) as (a, b):
            b.backplane.watch("room")
            for receiver in list(b.backplane._receivers):
                receiver.close()
            await until(lambda: a.stat("workers") == 0)
            await until(lambda: a.stat("workers") == 1)
            a.publish("room", b"x")
            await b.hears(b"x")

    run(kind, check)


def test_who_does_not_greet_delays_a_start_and_no_more(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr("longwave.backplane.workers.MEETING", 0.01)
        async with members(folder, 1) as (a,):
            with Stalled(folder, a.backplane) as silent:
                late = Member(folder)
                await late.start()
                await late.backplane.close()
                silent.taken, _ = silent.listener.accept()

    run("asyncio", check)
    assert "do not answer" in caplog.text


def test_a_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    async def check() -> None:
        with pytest.raises(BackplaneError, match="this user alone"):
            await WorkersBackplane(folder).start(lambda envelope: None)
        with pytest.raises(BackplaneError, match="No such file"):
            await WorkersBackplane(folder / "missing").start(lambda envelope: None)
        folder.chmod(0o700)
        long = folder / ("x" * 100)
        long.mkdir(0o700)
        backplane = WorkersBackplane(long)
        with pytest.raises(BackplaneError, match="cannot meet"):
            await backplane.start(lambda envelope: None)
        assert list(long.iterdir()) == []

    folder.chmod(0o755)
    run("asyncio", check)


def test_it_is_started_once_and_can_be_started_again(folder: Path) -> None:
    async def check() -> None:
        backplane = WorkersBackplane(folder)
        with pytest.raises(BackplaneError, match="not started"):
            backplane.publish(Envelope("n", "t", b"", True))
        for _ in range(2):
            await backplane.start(lambda envelope: None)
            with pytest.raises(BackplaneError, match="started already"):
                await backplane.start(lambda envelope: None)
            await backplane.close()
            await backplane.close()
        assert list(folder.iterdir()) == []

    run("asyncio", check)


def test_apps_of_two_workers_hear_each_other(folder: Path) -> None:
    async def check() -> None:
        apps: list[App] = [
            make_app({"/ws": define_websocket_handler()}, backplane=WorkersBackplane(folder))
            for _ in range(2)
        ]
        for app in apps:
            await app.startup()
        one, two = apps
        here, mine = await connect(one)
        there, theirs = await connect(two)
        here.subscribe("room")
        await there.subscribe("room")
        here.publish("room", "hello")
        await asyncio.to_thread(one.publish, "room", "from a thread")
        await until(lambda: len(theirs.messages) == 2)
        assert theirs.messages == ["hello", "from a thread"]
        assert mine.messages == ["from a thread"]
        assert one.stats()["backplane.sent"] == two.stats()["backplane.received"] == 2
        assert one.stats()["limits.backplane"] == 0
        for app in apps:
            await app.shutdown()

    run("asyncio", check)
