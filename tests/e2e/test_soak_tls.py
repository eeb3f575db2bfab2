"""TLS clients that go away in every way, at every moment: nothing is left of them."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.e2e.nginx import certificate
from tests.e2e.probe import MIB, Probe, copy_project
from tests.e2e.wire import Wire, eventually, frame, measured, request, run, upgrade

Visit: TypeAlias = Callable[[int, random.Random], Awaitable[None]]

CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE
AT_ONCE = 25
MAY_GROW = 4 * MIB
PER_CONNECTION = 64
"""Bytes: less than the smallest object that could be left of a connection."""


class TlsProbe(Probe):
    """The probe behind a certificate; its health is asked for over TLS as well."""

    def answers(self) -> bool:
        async def ask() -> int:
            client = await connect(self.port)
            client.get("/hello", "Connection: close")
            status, _, _ = await client.response()
            client.writer.transport.abort()
            return status

        try:
            return asyncio.run(asyncio.wait_for(ask(), 5)) == 200
        except (OSError, EOFError, TimeoutError):
            return False


async def connect(port: int, *, tls: bool = True) -> Wire:
    return Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=CONTEXT if tls else None))


def hello() -> bytes:
    """Return what a client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        CONTEXT.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


def before_tls(data: Callable[[random.Random], bytes]) -> Visit:
    """Return a visit that sends bytes of no TLS connection, and goes."""

    async def visit(port: int, chance: random.Random) -> None:
        client = await connect(port, tls=False)
        client.send(data(chance))
        await asyncio.sleep(chance.uniform(0, 0.02))
        leave(client, chance)

    return visit


def within_tls(data: Callable[[random.Random], bytes], *, ends: bool = False) -> Visit:
    """Return a visit that sends bytes over TLS and goes, or waits until the server ends it."""

    async def visit(port: int, chance: random.Random) -> None:
        client = await connect(port)
        client.send(data(chance))
        if ends:
            await client.rest()
        else:
            await asyncio.sleep(chance.uniform(0, 0.02))
        leave(client, chance)

    return visit


def leave(client: Wire, chance: random.Random) -> None:
    """Go: with a goodbye, without one, or by a reset."""
    chance.choice((client.close, client.writer.transport.abort, client.reset))()


def some_of(data: bytes) -> Callable[[random.Random], bytes]:
    return lambda chance: data[: chance.randrange(len(data))]


VISITS: dict[str, Visit] = {
    "says nothing": before_tls(lambda _: b""),
    "speaks plain HTTP": before_tls(lambda _: request("/hello")),
    "speaks nonsense": before_tls(lambda chance: chance.randbytes(500)),
    "leaves inside the handshake": before_tls(some_of(hello())),
    "leaves after its first word": before_tls(lambda _: hello()),
    "asks and leaves": within_tls(lambda _: request("/hello")),
    "leaves inside a head": within_tls(some_of(request("/hello"))),
    "leaves a stream": within_tls(lambda _: request("/events/idle")),
    "leaves a WebSocket": within_tls(lambda _: upgrade("/ws/echo")),
    "leaves inside a frame": within_tls(lambda _: upgrade("/ws/echo") + frame(b"x" * 5000)[:1000]),
    "breaks the protocol": within_tls(lambda _: upgrade("/ws/echo") + b"\xff\xff", ends=True),
    "sends a bad request": within_tls(lambda _: b"GET / HTTP/1.1\r\n\r\n", ends=True),
}


async def churn(port: int, count: int, chance: random.Random) -> None:
    """Let so many come and go, a few at a time."""
    names = list(VISITS)
    for start in range(0, count, AT_ONCE):
        visits = [VISITS[names[at % len(names)]] for at in range(start, min(count, start + AT_ONCE))]
        # What is refused while it still writes sees a broken pipe.
        for done in await asyncio.gather(*(visit(port, chance) for visit in visits), return_exceptions=True):
            assert done is None or isinstance(done, OSError), done


@pytest.mark.timeout(180)
def test_tls_clients_leave_nothing(tmp_path: Path, length: Callable[[int], int]) -> None:
    count = max(600, length(6000))
    chance = random.Random(11)
    project = copy_project(tmp_path / "project", "probe")
    cert, key = certificate(tmp_path)
    tls = ("--ssl-certfile", str(cert), "--ssl-keyfile", str(key))
    with TlsProbe(project, *tls, env={"LONGWAVE_TIMEOUTS_CLOSE": "0.5"}) as server:

        async def main() -> None:
            async def stays(files: int) -> bool:
                return len(list(Path(f"/proc/{server.pid}/fd").iterdir())) <= files

            files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
            await churn(server.port, max(600, count // 3), chance)
            await eventually(lambda: stays(files), 10)
            before = server.rss()
            await churn(server.port, count, chance)
            await eventually(lambda: stays(files), 10)
            grown = server.rss() - before
            measured("grown", grown)
            assert grown <= max(MAY_GROW, PER_CONNECTION * count)

        run(main(), 150)
        assert server.answers()
        assert "Traceback" not in server.output, server.output
