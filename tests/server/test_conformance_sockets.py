"""The conformance tables over real sockets: WebSocket, handshake, HTTP. Many connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from longwave.contract import FullReply, Reply, Request
from longwave.errors import RequestError
from longwave.server.worker import Server
from tests.conformance.handshake_cases import HANDSHAKES, KEY, Handshake
from tests.conformance.http_cases import ALL as HTTP_CASES
from tests.conformance.http_cases import Case as HttpCase
from tests.conformance.ws_cases import CASES, Case, decode, encode_step
from tests.conformance.ws_model import CLOSE
from tests.server.fake_app import FakeApp
from tests.server.harness import Client, loops, run_in, serve

AT_ONCE = 24
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# A case that breaks off: what a server waits for is waited for so long.
WAIT = 0.1


class HttpApp(FakeApp):
    """Reads every body to its end, and notes what it saw by connection."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[object, list[tuple[str, bytes, bytes]]] = {}
        self.begun: dict[object, int] = {}

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        assert request.client is not None
        self.begun[request.client] = self.begun.get(request.client, 0) + 1
        return self._handle(request)

    async def _handle(self, request: Request) -> Reply:
        try:
            body = b"" if request.body is None else await request.body.read()
        except RequestError as error:
            return FullReply(error.status)
        self.seen.setdefault(request.client, []).append((request.method, request.target, body))
        return FullReply(200, [], b"ok")


async def all_of(kind: str, cases: list[tuple[str, Callable[[], Awaitable[None]]]]) -> None:
    """Run cases, a number of them at a time, and tell which ones failed."""
    slots = asyncio.Semaphore(AT_ONCE)
    failures = []

    async def one(name: str, case: Callable[[], Awaitable[None]]) -> None:
        async with slots:
            try:
                await asyncio.wait_for(case(), 10)
            except Exception as error:
                failures.append(f"{name}: {type(error).__name__}: {error}")

    await asyncio.gather(*(one(name, case) for name, case in cases))
    assert not failures, f"{len(failures)} of {len(cases)} on {kind}:\n" + "\n".join(failures[:20])


async def run_websocket(server: Server, case: Case) -> None:
    client = await Client.connect(server)
    client.send(UPGRADE)
    await client.reader.readuntil(b"\r\n\r\n")
    chunks: list[bytes] = []

    async def read() -> None:
        try:
            while data := await client.reader.read(1 << 20):
                chunks.append(data)
        except ConnectionResetError:
            pass

    reading = asyncio.ensure_future(read())
    closed_early = False
    for number, step in enumerate(case.steps):
        data = encode_step(step)
        size = case.chop or max(1, len(data))
        for start in range(0, len(data), size):
            if client.writer.transport.is_closing():
                break
            client.send(data[start : start + size])
            if case.chop:
                await asyncio.sleep(0)
        if case.fails_at == number:
            while not any(opcode == CLOSE for opcode, _ in decode(b"".join(chunks))[0]):
                assert not reading.done() or closed_early, "the end came without a close frame"
                await asyncio.sleep(0.002)
            closed_early = True
            break
        await asyncio.sleep(0)
    await reading
    frames, rest = decode(b"".join(chunks))
    assert rest == b""
    assert frames, "nothing came"
    assert frames[-1][0] == CLOSE
    code = int.from_bytes(frames[-1][1][:2], "big") if frames[-1][1] else 1005
    assert code in case.close, f"closed with {code}"
    assert tuple(frames[:-1]) == case.expect, "other frames"
    if case.fails_at is not None:
        assert closed_early
    client.close()


async def run_handshake(server: Server, case: Handshake) -> None:
    client = await Client.connect(server)
    client.send(case.request + case.rest)
    head = await client.reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert int(lines[0].split(b" ")[1]) in case.status, lines[0]
    fields: dict[bytes, list[bytes]] = {}
    for line in lines[1:-2]:
        name, value = line.split(b": ", 1)
        fields.setdefault(name.lower(), []).append(value.lower())
    for name, value in case.headers.items():
        assert [v.lower() for v in fields.get(name, [])] == [value.lower()], (name, fields.get(name))
    for name in case.absent:
        assert name not in fields, name
    for opcode, payload in case.echo:
        assert await client.frame() == (opcode, payload)
    if 101 not in case.status:
        good = await Client.connect(server)
        good.send(UPGRADE)
        assert (await good.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        good.close()
    client.close()


async def run_http(server: Server, app: HttpApp, case: HttpCase, size: int) -> None:
    client = await Client.connect(server)
    name = client.writer.get_extra_info("sockname")
    for start in range(0, len(case.data), size):
        client.send(case.data[start : start + size])
        if size < len(case.data):
            await asyncio.sleep(0)
    heads_only = [request.method == "HEAD" for request in case.requests]
    statuses = []
    for head_only in heads_only:
        status, _, _ = await client.response(head_only=head_only)
        while status == 100:
            status, _, _ = await client.response(head_only=head_only)
        statuses.append(status)
    assert all(200 <= status < 300 for status in statuses), statuses
    if case.refused:
        status, _, _ = await client.response()
        assert status in case.refused, status
        assert await client.rest() == b"", "it went on after a refusal"
    elif case.waits:
        with pytest.raises(TimeoutError):
            data = await asyncio.wait_for(client.reader.read(1), WAIT)
            raise AssertionError(f"it did not wait: {data!r}")
    elif not case.keeps:
        assert await client.rest() == b""
    else:
        client.send(b"GET /still HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.response())[0] == 200
        assert app.seen[name].pop()[1] == b"/still"
        app.begun[name] -= 1
    seen = app.seen.get(name, [])
    assert [tuple(request) for request in case.requests] == seen, seen
    if not case.begun and not case.waits:
        assert app.begun.get(name, 0) == len(case.requests), "a handler ran for a refused request"
    client.close()


@loops
def test_websocket_cases(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            await all_of(kind, [(case.id, partial(run_websocket, server, case)) for case in CASES])

    run_in(kind, main())


@loops
def test_handshake_cases(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            await all_of(kind, [(case.id, partial(run_handshake, server, case)) for case in HANDSHAKES])

    run_in(kind, main())


@loops
@pytest.mark.parametrize("size", [1 << 30, 1, 7])
def test_http_cases(kind: str, size: int) -> None:
    async def main() -> None:
        app = HttpApp()
        async with serve(app) as server:
            cases = [case for case in HTTP_CASES if size > len(case.data) or len(case.data) < 4000]
            if size < 1 << 20:
                # In pieces a handler may begin before its body breaks.
                cases = [case._replace(begun=True) for case in cases]
            await all_of(kind, [(case.name, partial(run_http, server, app, case, size)) for case in cases])

    run_in(kind, main())
