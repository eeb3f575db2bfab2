"""Streamed responses over real sockets: their wires, their ends, slow and leaving clients."""

from __future__ import annotations

import asyncio
import time

import pytest

from longwave.contract import Link
from longwave.limits import Limits
from longwave.types import SendStatus
from tests.server.fake_app import FakeApp, FakeSession
from tests.server.harness import Client, loops, request, run_in, serve


@loops
def test_both_directions_stream_at_once(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            client = await Client.connect(server)
            client.get("/both", "Transfer-Encoding: chunked", method="POST")
            await client.reader.readuntil(b"\r\n\r\n")
            for number in range(5):
                piece = b"piece %d" % number
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                assert await client.chunk() == piece
            client.send(b"0\r\n\r\n")
            assert await client.chunk() == b""
            client.get("/after")
            assert (await client.response())[2] == b"hello /after"

    run_in(kind, main())


@loops
def test_a_stream_of_events(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            client.get("/sse")
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"transfer-encoding: chunked" in head
            session = app.sessions[0]
            link = session.link
            assert link is not None
            for number in range(3):
                assert link.write(link.wire.frame(b"%d" % number, True)) is SendStatus.SENT
            assert [await client.chunk() for _ in range(3)] == [b"data: %d\n\n" % n for n in range(3)]
            link.close()
            assert session.ends == []
            assert link.write(b"late") is SendStatus.CLOSED
            assert await client.chunk() == b""
            await session.gone.wait()
            assert session.ends == [(1000, "")]
            client.get("/after")
            assert (await client.response())[2] == b"hello /after"

            old = await Client.connect(server)
            old.get("/sse", "Connection: keep-alive", version="1.0")
            head = await old.reader.readuntil(b"\r\n\r\n")
            assert b"chunked" not in head
            assert b"connection: close" in head
            link = app.sessions[1].link
            assert link is not None
            link.write(link.wire.frame(b"x", True))
            link.close()
            assert await old.rest() == b"data: x\n\n"

    run_in(kind, main())


@loops
def test_the_head_and_what_opened_writes_go_out_before_anything_else(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()

        def write_and_close(link: Link) -> None:
            link.write(link.wire.frame(b"all", True))
            link.close()

        def make() -> FakeSession:
            session = FakeSession()
            session.on_opened = write_and_close
            return session

        app.make_session = make
        async with serve(app) as server:
            client = await Client.connect(server)
            client.send(request("/raw") + request("/after"))
            assert (await client.response())[2] == b"all"
            assert (await client.response())[2] == b"hello /after"

    run_in(kind, main())


@loops
@pytest.mark.parametrize("way", ["fin", "reset"])
@pytest.mark.parametrize("path", ["/sse", "/raw"])
def test_a_client_that_leaves_a_stream_is_noticed(kind: str, way: str, path: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            client.get(path)
            await client.reader.readuntil(b"\r\n\r\n")
            began = time.monotonic()
            if way == "fin":
                client.close()
            else:
                client.reset()
            await app.sessions[0].gone.wait()
            assert time.monotonic() - began < 5
            assert app.sessions[0].ends == [(1006, "")]

    run_in(kind, main())


@loops
def test_a_stream_keeps_to_its_content_length(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            for pieces, whole in (([b"01234", b"56789"], True), ([b"short"], False), ([b"x" * 11], False)):
                client = await Client.connect(server)
                client.get("/length")
                await client.reader.readuntil(b"\r\n\r\n")
                link = app.sessions[-1].link
                assert link is not None
                for piece in pieces:
                    link.write(piece)
                link.close()
                if whole:
                    assert await client.reader.readexactly(10) == b"0123456789"
                    client.get("/after")
                    assert (await client.response())[2] == b"hello /after"
                else:
                    assert len(await client.rest()) < 10
        assert caplog.text.count("content-length") == 2

    run_in(kind, main())


@loops
def test_a_stream_that_is_too_slow_ends_whole(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(outgoing=256 * 1024)) as server:
            client = await Client.connect(server, limit=1024)
            client.get("/sse")
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"chunked" in head
            session = app.sessions[0]
            link = session.link
            assert link is not None
            statuses = [link.write(link.wire.frame(b"%08d" % n * 1000, True)) for n in range(3000)]
            assert SendStatus.CLOSED in statuses
            # Not from inside `write`: the hub is in the middle of its subscribers.
            assert session.ends == []
            await session.gone.wait()
            assert session.ends == [(1013, "too slow")]
            number = 0
            async for chunk in client.chunks():
                assert chunk == b"data: " + b"%08d" % number * 1000 + b"\n\n"
                number += 1
            assert number < 3000
            client.get("/after")
            assert (await client.response())[2] == b"hello /after"

    run_in(kind, main())


@loops
def test_a_stream_waits_for_its_client(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(outgoing=256 * 1024)) as server:
            client = await Client.connect(server, limit=1024)
            client.get("/raw")
            await client.reader.readuntil(b"\r\n\r\n")
            link = app.sessions[0].link
            assert link is not None

            async def push() -> None:
                for _ in range(400):
                    link.write(link.wire.frame(b"x" * 50_000, False))
                    await link.drained(64 * 1024)
                    assert link.buffered <= 64 * 1024
                link.close()

            pushing = asyncio.create_task(push())
            await asyncio.sleep(0.1)
            assert not pushing.done()
            total = 0
            async for chunk in client.chunks():
                total += len(chunk)
            assert total == 400 * 50_000
            await pushing

    run_in(kind, main())
