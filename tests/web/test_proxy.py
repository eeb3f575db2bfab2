"""`proxy_request` on real sockets: what goes along, how it streams, what a bad upstream becomes."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from longwave import Event, EventStream, HTTPError, Response, create_event_stream, proxy_request
from longwave.errors import UpstreamError
from longwave.testing import TestClient
from tests.web.upstreams import ask, on_sockets, scripted, serving, until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
GET = b"GET /p HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n\r\n"


def through(target: str, **options: Any) -> dict[str, Any]:
    """Return routes of which all are proxied."""

    async def handler(event: Event) -> Any:
        return await proxy_request(event, target, **options)

    return {"/[...path]": handler}


@on_sockets
async def test_method_path_body_and_fields_go_along() -> None:
    async def echo(event: Event) -> Any:
        return {
            "method": event.method,
            "url": event.request.target.decode(),
            "fields": [[n.decode(), v.decode("latin-1")] for n, v in event.fields],
            "body": (await event.text()),
        }

    async with serving({"/[...all]": echo}) as back, serving(through(back.url)) as front:
        request = (
            b"POST /a%20b/../c?d=e&d=%2F HTTP/1.1\r\nHost: front.example\r\nX-One: 1\r\nX-One: 2\r\n"
            b"Connection: close, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nX-Forwarded-For: 6.6.6.6\r\n"
            b"Forwarded: for=6.6.6.6\r\nCookie: a=b\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        async with ask(front.port, request) as talk:
            assert (await talk.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            await talk.say(b"hello")
            status, fields = await talk.head()
            seen = json.loads(await talk.reader.readexactly(int(fields["content-length"])))
    assert status == 200 and fields["content-type"] == "application/json"
    assert (seen["method"], seen["url"], seen["body"]) == ("POST", "/c?d=e&d=%2F", "hello")
    assert sorted(map(tuple, seen["fields"])) == [
        ("connection", "close"),
        ("content-length", "5"),
        ("cookie", "a=b"),
        ("host", f"127.0.0.1:{back.port}"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "front.example"),
        ("x-forwarded-proto", "http"),
        ("x-one", "1"),
        ("x-one", "2"),
    ]


@pytest.mark.parametrize(
    ("options", "there", "away"),
    [
        ({"forward_headers": ["Host"]}, {"host: front.example"}, {"host: 127"}),
        ({"forwarded": False}, set(), {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}),
        ({"headers": {"X-Key": "1", "Cookie": "c=d"}}, {"x-key: 1", "cookie: c=d"}, {"cookie: a=b"}),
        ({"headers": {"host": "other"}}, {"host: other"}, {"host: 127"}),
        ({"filter_headers": ["cookie"]}, set(), {"cookie"}),
    ],
)
@on_sockets
async def test_options_of_the_request(options: dict[str, Any], there: set[str], away: set[str]) -> None:
    async with scripted(OK) as back, serving(through(back.url, **options)) as front:
        request = GET.replace(b"\r\n\r\n", b"\r\nCookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
        async with ask(front.port, request) as talk:
            assert (await talk.rest()).endswith(b"ok")
    (head,) = back.heads
    lines = set(head.lower().split("\r\n"))
    assert there <= lines
    assert [line for line in lines for word in away if line.startswith(word)] == []


@pytest.mark.parametrize(
    ("path", "asked"), [("", "/p?q=1"), ("/", "/"), ("/x?y=z", "/x?y=z"), ("?only", "/?only")]
)
@on_sockets
async def test_a_target_with_a_path_is_asked_that(path: str, asked: str) -> None:
    async with scripted(OK) as back, serving(through(back.url + path)) as front:
        async with ask(front.port, GET.replace(b"/p", b"/p?q=1")) as talk:
            await talk.rest()
    assert back.heads[0].startswith(f"GET {asked} HTTP/1.1\r\n")


@on_sockets
async def test_a_unix_socket(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = head.split(b"\r\n")[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    path = tmp_path / "up.sock"
    back = await asyncio.start_unix_server(answer, path)
    async with serving(through(f"http+unix://{path}:/inside")) as front, ask(front.port, GET) as talk:
        assert (await talk.rest()).endswith(b"GET /inside HTTP/1.1")
    back.close()


@on_sockets
async def test_answers_without_a_body() -> None:
    async with scripted(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n") as back:
        async with serving(through(back.url)) as front, ask(front.port, GET) as talk:
            status, fields = await talk.head()
            assert (status, fields["etag"], await talk.rest()) == (304, "x", b"")
    async with scripted(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n") as back:
        async with serving(through(back.url)) as front, ask(front.port, GET) as talk:
            status, fields = await talk.head()
            # RFC 9110 section 8.6: it has no length.
            assert (status, fields.get("content-length"), await talk.rest()) == (204, None, b"")
    async with scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n") as back:
        async with serving(through(back.url)) as front, ask(front.port, GET.replace(b"GET", b"HEAD")) as talk:
            status, fields = await talk.head()
            assert (status, fields["content-length"], await talk.rest()) == (200, "70000", b"")


@on_sockets
async def test_redirects_are_handed_on_and_fields_are_rewritten() -> None:
    answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://%b/next?x\r\nServer: back\r\nContent-Length: 0\r\n"
        b"Set-Cookie: a=b; Domain=back.example; Path=/app\r\nSet-Cookie: c=d; path=/other\r\n"
        b"Connection: X-Hop\r\nX-Hop: 1\r\n\r\n"
    )
    options: dict[str, Any] = {
        "rewrite_location": True,
        "cookie_domain_rewrite": "",
        "cookie_path_rewrite": {"/app": "/"},
        "on_response": lambda response: response.set_header("x-seen", str(response.status)),
    }

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer % f"127.0.0.1:{back.port}".encode())

    async with scripted(script) as back, serving(through(back.url, **options)) as front:
        async with ask(front.port, GET) as talk:
            raw = (await talk.rest()).decode()
    assert len(back.heads) == 1
    lines = raw.split("\r\n")
    assert lines[0].startswith("HTTP/1.1 302 ")
    for line in (
        "location: /next?x",
        "set-cookie: a=b; Path=/",
        "set-cookie: c=d; path=/other",
        "x-seen: 302",
        "server: back",
    ):
        assert line in lines
    assert "x-hop" not in raw


# Streaming.


@on_sockets
async def test_an_answer_streams_and_the_end_of_the_client_is_the_upstreams() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await reader.readexactly(1)

    async with scripted(script) as back, serving(through(back.url)) as front:
        async with ask(front.port, GET) as talk:
            status, fields = await talk.head()
            assert (status, fields["content-type"]) == (200, "text/event-stream")
            assert b"data: 1\n\n" in await talk.reader.readuntil(b"\n\n")
            assert not back.lost.is_set()
        await asyncio.wait_for(back.lost.wait(), 2)
        await until(lambda: front.app.stats()["tasks"] == 0)


@on_sockets
async def test_our_own_stream_through_our_own_proxy() -> None:
    closed = asyncio.Event()

    async def clock(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.every(0.01, lambda: stream.push("tick"))
        stream.on_closed(closed.set)
        return stream

    async with serving({"/clock": clock}) as back, serving(through(back.url)) as front:
        async with ask(front.port, GET.replace(b"/p", b"/clock")) as talk:
            for _ in range(3):
                assert b"data: tick" in await talk.reader.readuntil(b"data: tick\n\n")
        await asyncio.wait_for(closed.wait(), 2)


@on_sockets
async def test_a_client_that_goes_before_the_answer_ends_the_question() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async with scripted(script) as back, serving(through(back.url)) as front:
        async with ask(front.port, GET) as talk:
            await until(lambda: back.heads)
            # By a reset: the end of what a client sends is not the end of its wish for an answer.
            linger = struct.pack("ii", 1, 0)
            talk.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await asyncio.wait_for(back.lost.wait(), 2)


@on_sockets
async def test_both_directions_at_once() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        # Says back each chunk as it comes.
        while (size := int((await reader.readline()).strip(), 16)) != 0:
            writer.write((await reader.readexactly(size + 2))[:-2])
            await writer.drain()

    request = b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    async with scripted(script) as back, serving(through(back.url)) as front:
        async with ask(front.port, request) as talk:
            assert (await talk.head())[0] == 200
            for word in (b"one", b"three"):
                await talk.say(b"%x\r\n%b\r\n" % (len(word), word))
                assert word in await talk.reader.readuntil(word)
            await talk.say(b"0\r\n\r\n")
            assert (await talk.rest()).endswith(b"0\r\n\r\n")
    assert "transfer-encoding: chunked" in back.heads[0]


@on_sockets
async def test_a_client_that_does_not_read_holds_the_upstream_back() -> None:
    written = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    async with scripted(script) as back, serving(through(back.url)) as front:
        async with ask(front.port, GET) as talk:
            talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
            before = -1
            while before != written or not written:
                before = written
                await asyncio.sleep(0.2)
            # The bound of our buffer, and those of four sockets and two readers.
            assert written < 40_000_000
            talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await talk.head()
            total = 0
            while data := await talk.reader.read(1 << 20):
                total += len(data)
            assert total > 100_000_000


# Upstreams that do not do as they should.


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"220 mail.example ESMTP\r\n\r\n",
    ],
    ids=["nothing", "half a head", "lengths", "control", "huge", "101", "mail"],
)
@on_sockets
async def test_an_answer_that_cannot_be_read_is_502(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with scripted(answer) as back, serving(through(back.url)) as front:
        async with ask(front.port, GET) as talk:
            raw = await talk.rest()
    assert raw.startswith(b"HTTP/1.1 502 ")
    assert json.loads(raw.partition(b"\r\n\r\n")[2])["status"] == 502
    assert f"{back.port}".encode() not in raw and f"{back.port}" in caplog.text


@on_sockets
async def test_an_upstream_that_is_away_is_502(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        async with serving(through(f"http://127.0.0.1:{probe.getsockname()[1]}")) as front:
            async with ask(front.port, GET) as talk:
                raw = await talk.rest()
    assert raw.startswith(b"HTTP/1.1 502 ") and b"the upstream cannot be reached" in raw
    assert "refused" in caplog.text.lower()


@on_sockets
async def test_a_slow_upstream_is_504(caplog: pytest.LogCaptureFixture) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 ")
        await reader.readexactly(1)

    async with scripted(script) as back, serving(through(back.url, timeout=0.1)) as front:
        async with ask(front.port, GET) as talk:
            assert (await talk.rest()).startswith(b"HTTP/1.1 504 ")
        await asyncio.wait_for(back.lost.wait(), 2)


@pytest.mark.parametrize(
    "length", [b"Content-Length: 10\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n20\r\n"]
)
@pytest.mark.parametrize("silent", [False, True])
@on_sockets
async def test_half_an_answer_is_cut_for_the_client_too(
    length: bytes, silent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"half")
        if silent:
            await reader.readexactly(1)

    async with scripted(script) as back, serving(through(back.url, idle_timeout=0.1)) as front:
        async with ask(front.port, GET) as talk:
            assert (await talk.head())[0] == 200
            try:
                body = await talk.rest()
            except ConnectionResetError:
                body = b""
    assert not body.endswith(b"0\r\n\r\n")
    assert "a streamed body failed" in caplog.text


@on_sockets
async def test_an_upstream_may_answer_without_taking_the_body() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()

    request = b"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n"
    async with scripted(script) as back, serving(through(back.url)) as front:
        async with ask(front.port, request) as talk:
            await talk.say(b"x" * 900_000)
            status, _ = await talk.head()
            assert (status, await talk.reader.readexactly(2)) == (413, b"no")


@on_sockets
async def test_an_upload_ends_with_the_answer() -> None:
    request = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly a part"
    async with scripted(OK) as back, serving(through(back.url)) as front:
        async with ask(front.port, request) as talk:
            status, _ = await talk.head()
            assert (status, await talk.reader.readexactly(2)) == (200, b"ok")
            await until(lambda: not any("HttpClient._send" in repr(task) for task in asyncio.all_tasks()))


@on_sockets
async def test_the_time_for_an_answer_begins_anew_with_each_piece_of_an_upload() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        writer.write(OK)

    request = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    async with scripted(script) as back, serving(through(back.url, timeout=0.6)) as front:
        async with ask(front.port, request) as talk:
            for letter in b"hello":
                await asyncio.sleep(0.25)
                await talk.say(bytes([letter]))
            assert (await talk.head())[0] == 200


@on_sockets
async def test_an_upstream_that_takes_nothing_holds_the_client_back() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await allowed.wait()
        total = 0
        while total < size:
            total += len(await reader.read(1 << 20))
        writer.write(OK)

    allowed = asyncio.Event()
    size = 100_000_000
    sent = 0
    request = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    async with scripted(script) as back, serving(through(back.url), limits={"body": size}) as front:
        async with ask(front.port, request) as talk:

            async def flood() -> None:
                nonlocal sent
                while sent < size:
                    await talk.say(b"x" * 100_000)
                    sent += 100_000

            flooding = asyncio.create_task(flood())
            before = -1
            while before != sent or not sent:
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 40_000_000
            allowed.set()
            await flooding
            assert (await talk.head())[0] == 200


@on_sockets
async def test_a_body_over_the_limit_is_413_for_the_client() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    request = b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with scripted(script) as back, serving(through(back.url), limits={"body": 1000}) as front:
        async with ask(front.port, request) as talk:
            await until(lambda: back.heads)
            await talk.say(b"400\r\n" + b"x" * 1024 + b"\r\n")
            assert (await talk.head())[0] == 413


@on_sockets
async def test_a_path_that_an_upstream_may_read_otherwise_is_400() -> None:
    async with scripted(OK) as back, serving(through(back.url)) as front:
        async with ask(front.port, GET.replace(b"/p", b"/p/..%2f..%2fadmin")) as talk:
            assert (await talk.rest()).startswith(b"HTTP/1.1 400 ")
    assert back.heads == []


# What a handler sees.


@on_sockets
async def test_an_error_can_be_caught_and_a_middleware_may_answer_otherwise() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nendless")
        await reader.readexactly(1)

    async def middleware(event: Event, next: Any) -> Any:
        try:
            response = await next()
        except UpstreamError as error:
            return Response(f"instead: {error.status}", 200)
        assert response.status == 200
        return Response("not that")

    async with scripted(script) as back, serving(through(back.url), middleware=[middleware]) as front:
        async with ask(front.port, GET) as talk:
            assert (await talk.rest()).endswith(b"not that")
        await asyncio.wait_for(back.lost.wait(), 2)
    async with serving(through("http://127.0.0.1:1"), middleware=[middleware]) as front:
        async with ask(front.port, GET) as talk:
            assert (await talk.rest()).endswith(b"instead: 502")


@pytest.mark.parametrize("target", ["nowhere", "ws://localhost/", "http://h/ä"])
@on_sockets
async def test_a_target_that_is_no_url_is_an_error_of_ours(target: str) -> None:
    failures: list[Exception] = []

    async def handler(event: Event) -> Any:
        try:
            return await proxy_request(event, target)
        except ValueError as error:
            failures.append(error)
            raise HTTPError(500) from error

    from longwave import create_app

    async with TestClient(create_app(routes={"/": handler})) as client:
        assert (await client.get("/")).status == 500
    assert target in str(failures[0])


@on_sockets
async def test_the_framing_is_not_set_by_hand() -> None:
    async with serving(through("http://127.0.0.1:1", headers={"content-length": "3"})) as front:
        async with ask(front.port, GET) as talk:
            assert (await talk.rest()).startswith(b"HTTP/1.1 500 ")
