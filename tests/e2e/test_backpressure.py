"""A server that is slower than its clients: what they send waits with them, on our server and under ASGI.

The other direction, clients that are slower than the server, is in test_slow_clients.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import pytest

from tests.e2e.probe import MIB, Probe, probing
from tests.e2e.wire import Wire, clients, eventually, frame, measured, request, run

KIB = 1024
TOTAL = 32 * MIB
"""More than the kernel and a server's own queue take on the way: 4 to 11 MiB were seen."""
PIECE = 128 * KIB
SETTINGS = {"limits.waiting_messages": 4, "limits.body": 2 * TOTAL, "timeouts.close": 0.5}


@pytest.fixture(scope="module", params=["longwave", "uvicorn", "hypercorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    folder = tmp_path_factory.mktemp(f"pressure-{request.param}")
    with probing(folder, env=SETTINGS, server=request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def shut(server: Probe) -> Iterator[None]:
    server.ask("DELETE", "/gate")
    yield
    server.ask("POST", "/gate")


class Sender:
    """Sends pieces as they are taken, and knows how many bytes were."""

    def __init__(self, client: Wire, pieces: Iterable[bytes]) -> None:
        self._client = client
        self._pieces = pieces
        self.sent = 0
        self.task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        for piece in self._pieces:
            self._client.send(piece)
            await self._client.writer.drain()
            self.sent += len(piece)

    async def is_stuck(self) -> bool:
        """Wait until nothing was taken for half a second; tell whether something is left."""
        before = -1
        while not self.task.done() and before != (before := self.sent):
            await asyncio.sleep(0.5)
        measured("MiB taken", self.sent / MIB)
        return not self.task.done()


def test_a_slow_hook_slows_its_client_down(server: Probe) -> None:
    count = TOTAL // PIECE

    async def main() -> None:
        async with clients(server.port) as connect:
            client, other = await connect(), await connect()
            await client.websocket("/ws/gate")
            await other.websocket("/ws/echo")

            heard, before = server.noted("heard"), server.rss()
            numbers = [f"{number:08d}" for number in range(count)]
            sending = Sender(client, (frame(number.encode().ljust(PIECE, b".")) for number in numbers))
            assert await sending.is_stuck(), "all was taken by a server whose hook has not ended"
            assert server.noted("heard") == heard + 1
            # What it took is bounded, and nobody else waits.
            measured("MiB grown", (server.rss() - before) / MIB)
            assert server.rss() - before <= 16 * MIB
            await other.say("still there?")
            assert await other.text() == "still there?"
            await asyncio.to_thread(server.ask, "POST", "/gate")
            assert [await client.text() for _ in range(count)] == numbers
            await sending.task

    passed = server.passed("limits.waiting_messages")
    with server.unharmed():
        run(main())
    assert server.passed("limits.waiting_messages") > passed


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_not_read_waits_with_its_client(server: Probe, chunked: bool) -> None:
    async def main() -> None:
        async with clients(server.port) as connect:
            client = await connect()
            asked, before = server.noted("body asked for"), server.rss()
            framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {TOTAL}"
            client.send(request("/body", framing, method="POST"))
            piece = bytes(PIECE)
            if chunked:
                piece = b"%x\r\n%b\r\n" % (PIECE, piece)
            sending = Sender(client, [piece] * (TOTAL // PIECE) + [b"0\r\n\r\n"] * chunked)
            await eventually(lambda: server.noted("body asked for") == asked + 1)
            assert await sending.is_stuck(), "all was taken of a body that nobody reads"
            measured("MiB grown", (server.rss() - before) / MIB)
            assert server.rss() - before <= 4 * MIB
            await asyncio.to_thread(server.ask, "POST", "/gate")
            await sending.task
            status, _, body = await client.response()
            assert (status, body) == (200, b'{"size":%d}' % TOTAL)

    with server.unharmed():
        run(main())
