"""HTTP over real sockets: order, bodies, streams, time-outs, errors."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus
from tests.server.fake_app import FakeApp
from tests.server.harness import Client, eventually, frame, loops, request, run_in, serve, upgrade

QUICK = Timeouts(header=0.2, body=0.2, keep_alive=0.2, response=0.3, close=0.2)


@loops
def test_keep_alive_and_close(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            for number in range(3):
                client.get(f"/{number}?q=1")
                status, fields, body = await client.response()
                assert (status, body) == (200, b"hello /%d?q=1" % number)
                assert "connection" not in fields
                assert fields["date"].endswith("GMT")
            client.get("/last", "Connection: close")
            assert (await client.response())[1]["connection"] == "close"
            assert await client.rest() == b""
            assert app.requests[0].client == client.writer.get_extra_info("sockname")

            old = await Client.connect(server)
            old.get("/", version="1.0")
            assert (await old.response())[2] == b"hello /"
            assert await old.rest() == b""
            older = await Client.connect(server)
            older.get("/", "Connection: keep-alive", version="1.0")
            assert (await older.response())[1]["connection"] == "keep-alive"
            older.get("/later", version="1.0")
            assert (await older.response())[2] == b"later"
            assert server.stats()["requests"] == 7

    run_in(kind, main())


@loops
@pytest.mark.parametrize("count", [2, 50])
@pytest.mark.parametrize("chopped", [False, True])
def test_pipelined_requests_are_answered_in_order(kind: str, count: int, chopped: bool) -> None:
    async def main() -> None:
        async with serve() as server:
            client = await Client.connect(server)
            data = b"".join(
                request("/later") if number % 7 == 3 else request(f"/{number}") for number in range(count)
            )
            if chopped:
                for start in range(0, len(data), 61):
                    client.send(data[start : start + 61])
                    await asyncio.sleep(0)
            else:
                client.send(data)
            for number in range(count):
                expected = b"later" if number % 7 == 3 else b"hello /%d" % number
                assert (await client.response())[2] == expected

    run_in(kind, main())


@loops
def test_pipelined_requests_wait_for_an_answer_that_the_client_takes(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server, limit=1024)
            client.send(request("/large") * 12)
            await asyncio.sleep(0.1)
            assert len(app.requests) < 6
            for _ in range(12):
                assert len((await client.response())[2]) == 4_000_000

    run_in(kind, main())


@loops
def test_reading_pauses_behind_too_many_pipelined_requests(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(pipeline=4)) as server:
            client = await Client.connect(server)
            client.get("/hold")
            await eventually(lambda: app.requests)
            for _ in range(4):
                client.send(request("/x") * 100)
                await asyncio.sleep(0.01)
            await eventually(lambda: server.stats()["limits.pipeline"] == 1)
            app.go_on.set()
            assert (await client.response())[2] == b"held"
            for _ in range(400):
                assert (await client.response())[2] == b"hello /x"

    run_in(kind, main())


@loops
def test_head_has_no_body(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            client.get("/abc", method="HEAD")
            status, fields, _ = await client.response(head_only=True)
            assert (status, fields["content-length"]) == (200, "10")
            client.get("/sse", method="HEAD")
            status, fields, _ = await client.response(head_only=True)
            assert fields["content-type"] == "text/event-stream"
            client.get("/length", method="HEAD")
            assert (await client.response(head_only=True))[1]["content-length"] == "10"
            client.get("/next")
            assert (await client.response())[2] == b"hello /next"
            for session in app.sessions:
                assert session.log == [("opened",), ("closed", 1000, "")]
                assert session.link is not None
                assert session.link.write(b"x") is SendStatus.CLOSED

    run_in(kind, main())


@loops
def test_bodies(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            client = await Client.connect(server)
            large = bytes(range(256)) * 2048
            client.send(request("/body", f"Content-Length: {len(large)}", method="POST") + large)
            assert (await client.response())[2] == large
            client.send(request("/body", "Transfer-Encoding: chunked", method="POST"))
            for piece in (b"5\r\nhello\r\n", b"6;ext=1\r\n world\r\n", b"0\r\n\r\n"):
                client.send(piece)
                await asyncio.sleep(0.005)
            assert (await client.response())[2] == b"hello world"
            client.send(request("/body", "Content-Length: 0", method="POST"))
            assert (await client.response())[2] == b""

    run_in(kind, main())


@loops
def test_continue_is_sent_when_the_body_is_read(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            client = await Client.connect(server)
            expect = ("Content-Length: 3", "Expect: 100-continue")
            client.get("/body", *expect, method="POST")
            assert (await client.response())[0] == 100
            client.send(b"abc")
            assert (await client.response())[2] == b"abc"
            # Nobody reads it: the answer comes at once, and says that the connection ends.
            client.get("/unread", *expect, method="POST")
            status, fields, _ = await client.response()
            assert (status, fields["connection"]) == (200, "close")
            assert await client.rest() == b""

    run_in(kind, main())


@loops
def test_an_unread_body_is_drained_or_ends_the_connection(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            client = await Client.connect(server)
            client.get("/unread", "Content-Length: 1000", method="POST")
            assert (await client.response())[2] == b"unread"
            client.send(b"x" * 1000 + request("/after"))
            assert (await client.response())[2] == b"hello /after"

            client.send(request("/unread", "Content-Length: 900000", method="POST") + b"x" * 100_000)
            status, fields, body = await client.response()
            assert (status, fields["connection"], body) == (200, "close", b"unread")
            client.send(b"x" * 800_000)
            assert await client.rest() == b""

            chunked = await Client.connect(server)
            chunked.get("/unread", "Transfer-Encoding: chunked", method="POST")
            assert "connection" not in (await chunked.response())[1]
            for _ in range(10):
                chunked.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            assert await chunked.rest() == b""

    run_in(kind, main())


@loops
def test_a_body_that_nobody_reads_is_not_taken_from_the_socket(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(body=64 * 1024 * 1024)) as server:
            client = await Client.connect(server)
            client.get("/hold", "Content-Length: 40000000", method="POST")
            await eventually(lambda: app.requests)
            client.send(b"x" * 40_000_000)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.writer.drain(), 0.2)
            body: Any = app.requests[0].body
            assert body.size < 1_000_000
            client.reset()
            await eventually(lambda: app.cancelled == 1)

    run_in(kind, main())


@loops
def test_half_close(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            for path, answer in (("/now", b"hello /now"), ("/later", b"later")):
                client = await Client.connect(server)
                client.send(request("/first") + request(path))
                client.writer.write_eof()
                assert (await client.response())[2] == b"hello /first"
                assert (await client.response())[2] == answer
                assert await client.rest() == b""
            client = await Client.connect(server)
            client.get("/length")
            client.writer.write_eof()
            await eventually(lambda: app.sessions)
            await asyncio.sleep(0.02)
            link = app.sessions[0].link
            assert link is not None
            link.write(b"0123456789")
            link.close()
            assert (await client.response())[2] == b"0123456789"
            # A request that can never be complete.
            for unfinished in (b"GET / HTTP/1.1\r\nHo", request("/body", "Content-Length: 9", method="POST")):
                client = await Client.connect(server)
                client.send(unfinished)
                client.writer.write_eof()
                assert (await client.response())[0] == 400
                assert await client.rest() == b""

    run_in(kind, main())


@loops
def test_a_handler_is_cancelled_when_its_client_goes(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            client.get("/hold")
            await eventually(lambda: app.requests)
            client.reset()
            await eventually(lambda: app.cancelled == 1)

    run_in(kind, main())


@loops
def test_bad_requests(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            for data, expected in (
                (b"GET / HTTP/1.1\r\n\r\n", 400),
                (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
                (request("/", "X: " + "x" * 20000), 431),
                (request("/body", "Content-Length: 9000000", method="POST"), 413),
                (request("/body", "Transfer-Encoding: chunked", method="POST") + b"0x5\r\nhello\r\n", 400),
                (request("/body", "Transfer-Encoding: gzip", method="POST"), 400),
                (upgrade("/ws").replace(b"13", b"12"), 426),
                (upgrade("/ws").replace(b"GET", b"POST"), 405),
            ):
                client = await Client.connect(server)
                client.send(data + b"x" * 100_000)
                status, fields, body = await client.response()
                assert status == expected
                assert "close" in fields["connection"]
                assert f'"status": {expected}'.encode() in body
                assert await client.rest() == b""
            assert app.requests == []
            assert server.stats()["limits.request_line"] == 1
            assert server.stats()["limits.headers"] == 1
            assert server.stats()["limits.body"] == 1

    run_in(kind, main())


@loops
def test_a_body_that_breaks_later_gets_no_success(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            for path, answer in (("/body", 400), ("/hold", 400)):
                client = await Client.connect(server)
                client.get(path, "Transfer-Encoding: chunked", method="POST")
                count = len(app.requests) + 1
                while len(app.requests) < count:
                    await asyncio.sleep(0.005)
                client.send(b"5\r\nhello\r\n+5\r\n")
                assert (await client.response())[0] == answer
                assert await client.rest() == b""
            assert app.cancelled == 1
            client = await Client.connect(server)
            client.get("/both", "Transfer-Encoding: chunked", method="POST")
            await client.reader.readuntil(b"\r\n\r\n")
            client.send(b"5\r\nhello\r\n+5\r\n")
            assert not (await client.rest()).endswith(b"0\r\n\r\n")

    run_in(kind, main())


@loops
def test_what_cannot_be_sent_is_a_500(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serve() as server:
            client = await Client.connect(server)
            for data in (request("/bad"), request("/fail"), upgrade("/bad_ws")):
                client.send(data)
                status, fields, body = await client.response()
                assert status == 500
                assert "x-injected" not in fields
                assert b"secret" not in body
        assert "x-injected" in caplog.text
        assert "secret" in caplog.text

    run_in(kind, main())


@loops
def test_time_outs(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, timeouts=QUICK) as server:

            async def silent() -> None:
                client = await Client.connect(server)
                assert (await client.response())[0] == 408

            async def slow_head() -> None:
                client = await Client.connect(server)
                for byte in request("/slow")[:8]:
                    client.send(bytes([byte]))
                    await asyncio.sleep(0.01)
                assert (await client.response())[0] == 408
                assert await client.rest() == b""

            async def slow_body() -> None:
                client = await Client.connect(server)
                client.send(request("/body", "Content-Length: 10", method="POST") + b"x")
                assert (await client.response())[0] == 408
                assert await client.rest() == b""

            async def unread_body() -> None:
                client = await Client.connect(server)
                client.send(request("/unread", "Content-Length: 10", method="POST") + b"x")
                assert (await client.response())[0] == 200
                assert await client.rest() == b""

            async def idle() -> None:
                client = await Client.connect(server)
                client.get("/")
                assert (await client.response())[0] == 200
                assert await client.rest() == b""

            async def takes_nothing() -> None:
                client = await Client.connect(server, limit=1024)
                client.send(request("/large") * 4)
                await eventually(lambda: server.stats()["timeouts.response"])

            began = time.monotonic()
            await asyncio.gather(silent(), slow_head(), slow_body(), unread_body(), idle(), takes_nothing())
            assert time.monotonic() - began < 8
            stats = server.stats()
            assert stats["timeouts.header"] == 2
            assert stats["timeouts.body"] == 2
            assert stats["timeouts.keep_alive"] == 1

    run_in(kind, main())


@loops
def test_a_refused_upgrade(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            client = await Client.connect(server)
            client.send(upgrade("/no_ws") + frame(b"early"))
            status, fields, body = await client.response()
            assert (status, body, fields["x-why"]) == (403, b"no", "because")
            assert (fields["content-length"], fields["connection"]) == ("2", "close")
            assert await client.rest() == b""

    run_in(kind, main())


def test_the_access_log_is_safe(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with caplog.at_level(logging.INFO, "longwave.access"):
            async with serve(access_log=True) as server:
                client = await Client.connect(server)
                client.get("/path%0a?token=secret")
                await client.response()
                client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
                await client.response()

    run_in("asyncio", main())
    lines = [record.getMessage() for record in caplog.records if record.name == "longwave.access"]
    assert [line.split(" - ", 1)[1] for line in lines] == ['"GET /path%0a HTTP/1.1" 200', '"-" 400']
