"""One body of tests for a link, run over every server: see `test_link.py` for who and `app.py` for what.

`@needs("...")` names a capability of `capabilities.py`: where a server lacks it, the test has to fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.suites.app import CHUNK, LIMITS
from tests.suites.capabilities import LACKS
from tests.suites.ending import Ending, reset, until_closed
from tests.suites.running import RunningServer, new_key, welcomed

__all__ = ["LinkSuite", "needs"]


def needs(capability: str) -> Callable[[Any], Any]:
    """Say what a server must be capable of for this test to pass."""

    def mark(test: Any) -> Any:
        test.needs = capability
        return test

    return mark


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as a test, within a time limit."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(40):
                await test(*arguments, **named)

        asyncio.run(limited())

    return run


def is_closed(log: list[Any]) -> bool:
    return any(isinstance(entry, list) and entry[0] == "closed" for entry in log)


def most_of(log: list[Any]) -> int:
    """Return the most that a flood had waiting; that all is drained may be logged before or after its end."""
    (most,) = (entry[1] for entry in log if isinstance(entry, list) and entry[0] == "flooded")
    return int(most)


class LinkSuite:
    """Subclass it with the `name` of a server."""

    name: str

    @pytest.fixture(autouse=True)
    def lacking(self, request: pytest.FixtureRequest) -> None:
        lack = LACKS[self.name].get(getattr(request.function, "needs", ""))
        if lack is not None:
            mark = pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"{self.name}: {lack}")
            request.applymarker(mark)

    # Messages.

    @asynchronous
    async def test_echo(self, server: RunningServer) -> None:
        async with server.websocket("/echo") as ws:
            await welcomed(ws)
            for message in ("grüße 🙂", "", b"\x00\xff", b"", "x" * 70_000, b"y" * 70_000):
                await ws.send(message)
                assert await ws.recv() == message

    @asynchronous
    async def test_order(self, server: RunningServer) -> None:
        async with server.websocket("/echo") as ws:
            await welcomed(ws)
            for number in range(1000):
                await ws.send(str(number))
            assert [await ws.recv() for _ in range(1000)] == list(map(str, range(1000)))

    @asynchronous
    async def test_fragments_are_one_message(self, server: RunningServer) -> None:
        async with server.websocket("/echo") as ws:
            await welcomed(ws)
            await ws.send(["grü", "ß", "e"])
            assert await ws.recv() == "grüße"

    @asynchronous
    async def test_handshake_headers(self, server: RunningServer) -> None:
        async with server.websocket("/echo", additional_headers={"X-Sent": "something"}) as ws:
            assert ws.response is not None
            assert ws.response.headers["x-seen"] == "something"
            await welcomed(ws)

    @pytest.mark.parametrize(("offered", "chosen"), [(["chat.v1", "chat.v2"], "chat.v2"), (["other"], None)])
    @asynchronous
    async def test_subprotocol(self, server: RunningServer, offered: Any, chosen: str | None) -> None:
        async with server.websocket("/echo", subprotocols=offered) as ws:
            await welcomed(ws)
            assert ws.subprotocol == chosen

    @needs("early")
    @asynchronous
    async def test_bytes_that_follow_the_handshake_at_once(self, server: RunningServer) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as raw:
            raw.sendall(
                b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                b"\x81\x82\x00\x00\x00\x00hi"
            )
            answer = b""
            with contextlib.suppress(TimeoutError):
                while b"\x81\x02hi" not in answer and (chunk := raw.recv(4096)):
                    answer += chunk
        assert b"\x81\x07welcome\x81\x02hi" in answer

    @needs("ping")
    @asynchronous
    async def test_pings_are_told(self, server: RunningServer) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            await (await ws.ping(b"from the client"))
            await ws.send("!ping hello")
            log = await server.logged(key, lambda log: ["ponged", "hello"] in log, 1.0)
            assert ["pinged", "from the client"] in log
            assert ["ponged", "hello"] in log

    @asynchronous
    async def test_pings_are_answered(self, server: RunningServer) -> None:
        async with server.websocket("/echo") as ws:
            await welcomed(ws)
            await (await ws.ping(b"anybody?"))

    # Limits and flow.

    @pytest.mark.parametrize("kind", [str, bytes])
    @asynchronous
    async def test_message_too_big(self, server: RunningServer, kind: type) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}", max_size=None) as ws:
            await welcomed(ws)
            one: Any = "x" if kind is str else b"x"
            await ws.send(one * LIMITS.message)
            assert await ws.recv() == one * LIMITS.message
            await ws.send(one * (LIMITS.message + 1))
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1009
        assert (await server.logged(key, is_closed))[-1][:2] == ["closed", 1009]

    @asynchronous
    async def test_pause_and_resume(self, server: RunningServer) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            began = time.monotonic()
            await ws.send("!pause 0.3")
            for number in range(5):
                await ws.send(str(number))
            assert [await ws.recv() for _ in range(5)] == list("01234")
            assert time.monotonic() - began > 0.25
            assert server.log(key) == ["opened", "resumed", *"01234"]

    @asynchronous
    async def test_slow_reader_holds_the_bound(self, server: RunningServer) -> None:
        key = new_key()
        count = 2000
        async with server.websocket(f"/echo?key={key}", max_queue=1) as ws:
            await welcomed(ws)
            await ws.send(f"!flood {count}")
            log = await server.logged(key, lambda log: "waits" in log)
            await asyncio.sleep(0.2)
            assert "flooded" not in str(server.log(key)), "nobody reads, and all was taken"
            for _ in range(count):
                assert len(await ws.recv()) == CHUNK
            log = await server.logged(key, lambda log: "flooded" in str(log))
            assert most_of(log) <= LIMITS.outgoing + 2 * CHUNK

    @asynchronous
    async def test_too_slow_is_closed_with_1013(self, server: RunningServer) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}", max_queue=1) as ws:
            await welcomed(ws)
            await ws.send("!overflow")
            log = await server.logged(key, is_closed)
            _, most, half = log[1]
            assert half is True
            assert most <= LIMITS.outgoing + 2 * CHUNK
            assert log[-1] == ["closed", 1013, "too slow"]
            assert len([message async for message in until_closed(ws)]) < 1000

    @asynchronous
    async def test_echo_throttles_itself(self, server: RunningServer) -> None:
        async with server.websocket("/echo", max_queue=1, write_limit=1000) as ws:
            await welcomed(ws)
            payload = b"x" * 50_000

            async def send() -> None:
                for _ in range(400):
                    await ws.send(payload)

            sending = asyncio.ensure_future(send())
            await asyncio.sleep(0.3)
            assert not sending.done(), "20 MB were read by a server whose client takes nothing"
            for _ in range(400):
                assert await ws.recv() == payload
            await sending

    # The end of a WebSocket.

    @pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "grüße"), (1011, "x" * 123)])
    @asynchronous
    async def test_close_by_the_application(self, server: RunningServer, code: int, reason: str) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            await ws.send("before")
            await ws.send(f"!close {code} {reason}".rstrip())
            await ws.send("after")
            assert [message async for message in until_closed(ws)] == ["before"]
            assert (ws.close_code, ws.close_reason) == (code, reason)
        log = await server.logged(key, is_closed)
        assert log == ["opened", "before", ["closed", code, reason]]

    @needs("client_code")
    @pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "grüße"), (1001, "x" * 123)])
    @asynchronous
    async def test_close_by_the_client(self, server: RunningServer, code: int, reason: str) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            await ws.close(code, reason)
            assert ws.close_code == code
        assert await server.logged(key, is_closed) == ["opened", ["closed", code, reason]]

    @asynchronous
    async def test_closed_is_told_once(self, server: RunningServer) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
        log = await server.logged(key, is_closed)
        await asyncio.sleep(0.1)
        assert server.log(key) == log
        assert [entry[0] for entry in log] == ["o", "closed"]

    @needs("client_code")
    @asynchronous
    async def test_close_without_a_code(self, server: RunningServer) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            ws.transport.write(b"\x88\x80\x00\x00\x00\x00")
            assert await server.logged(key, is_closed) == ["opened", ["closed", 1005, ""]]

    @needs("lost_code")
    @pytest.mark.parametrize("how", ["reset", "end"])
    @asynchronous
    async def test_connection_that_is_lost(self, server: RunningServer, how: str) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            if how == "reset":
                ws.transport.abort()
            else:
                ws.transport.write_eof()
            assert await server.logged(key, is_closed, 1.0) == ["opened", ["closed", 1006, ""]]

    @needs("protocol_code")
    @pytest.mark.parametrize(
        ("frame", "code"), [(b"\x81\x81\0\0\0\0\xff", 1007), (b"\x83\x80\0\0\0\0", 1002)]
    )
    @asynchronous
    async def test_client_that_breaks_the_protocol(
        self, server: RunningServer, frame: bytes, code: int
    ) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            ws.transport.write(frame)
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == code
        assert (await server.logged(key, is_closed))[-1][:2] == ["closed", code]

    @needs("abort")
    @asynchronous
    async def test_abort(self, server: RunningServer) -> None:
        key = new_key()
        async with server.websocket(f"/echo?key={key}") as ws:
            await welcomed(ws)
            await ws.send("!abort")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1006
        assert await server.logged(key, is_closed) == ["opened", ["closed", 1006, ""]]

    @needs("denial")
    @asynchronous
    async def test_refusal(self, server: RunningServer) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with server.websocket("/refused"):
                pass
        response = refused.value.response
        assert (response.status_code, response.body) == (401, b'{"error": "who are you?"}')
        assert response.headers["www-authenticate"] == "Bearer"

    # Plain requests.

    @asynchronous
    async def test_whole_reply(self, server: RunningServer) -> None:
        status, headers, body = server.request("GET", "/hello")
        assert (status, body, headers["x-one"], headers["content-length"]) == (200, b"hello", "1", "5")
        status, headers, body = server.request("HEAD", "/hello")
        assert (status, body, headers["content-length"]) == (200, b"", "5")
        assert server.request("GET", "/nothing")[0] == 404

    @asynchronous
    async def test_connection_is_kept(self, server: RunningServer) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        for _ in range(3):
            connection.request("POST", "/body", b"x" * 50_000)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"x" * 50_000)
            first = connection.sock
            connection.request("GET", "/events?count=2")
            assert connection.getresponse().read() == b"data: number 0\n\ndata: number 1\n\n"
            assert connection.sock is first
        connection.close()

    @asynchronous
    async def test_body(self, server: RunningServer) -> None:
        assert server.request("POST", "/body", b"x" * LIMITS.body)[2] == b"x" * LIMITS.body
        assert server.request("POST", "/body", b"")[2] == b""

    @asynchronous
    async def test_chunked_body(self, server: RunningServer) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("POST", "/body", iter([b"one ", b"two"]), encode_chunked=True)
        assert connection.getresponse().read() == b"one two"
        connection.close()

    @pytest.mark.parametrize("chunked", [False, True])
    @asynchronous
    async def test_body_too_big(self, server: RunningServer, chunked: bool) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            size = LIMITS.body + 1
            framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
            raw.sendall(f"POST /body HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
            if chunked:
                raw.sendall(f"{size:x}\r\n".encode() + b"x" * size + b"\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 413 ")

    @needs("cancel")
    @asynchronous
    async def test_handler_is_cancelled_when_the_client_goes(self, server: RunningServer) -> None:
        key = new_key()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(f"GET /slow?key={key} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await server.logged(key, lambda log: "began" in log)
            reset(raw)
        assert await server.logged(key, lambda log: "cancelled" in log, 1.0) == ["began", "cancelled"]

    # Streams.

    @asynchronous
    async def test_event_stream(self, server: RunningServer) -> None:
        key = new_key()
        status, headers, body = server.request("GET", f"/events?key={key}&count=3")
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert body == b"".join(b"data: number %d\n\n" % number for number in range(3))
        assert await server.logged(key, is_closed) == ["opened", ["closed", 1000, ""]]

    @asynchronous
    async def test_head_and_events_come_at_once(self, server: RunningServer) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=2)
        connection.request("GET", "/events?stay=1")
        assert connection.getresponse().status == 200
        connection.close()
        connection.request("GET", "/events?count=1&stay=1")
        assert connection.getresponse().read(16) == b"data: number 0\n\n"
        connection.close()

    @asynchronous
    async def test_head_of_a_stream(self, server: RunningServer) -> None:
        key = new_key()
        status, headers, body = server.request("HEAD", f"/events?key={key}&count=3")
        assert (status, headers["content-type"], body) == (200, "text/event-stream", b"")
        assert (await server.logged(key, is_closed))[:2] == ["opened", ["closed", 1000, ""]]

    @pytest.mark.parametrize("how", ["reset", "end"])
    @asynchronous
    async def test_client_that_leaves_an_idle_stream_is_noticed(
        self, server: RunningServer, how: str
    ) -> None:
        key = new_key()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(f"GET /events?key={key}&stay=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")
            if how == "reset":
                reset(raw)
            else:
                raw.shutdown(socket.SHUT_WR)
            assert await server.logged(key, is_closed, 1.0) == ["opened", ["closed", 1006, ""]]

    @asynchronous
    async def test_slow_reader_of_a_stream(self, server: RunningServer) -> None:
        key = new_key()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", f"/bytes?key={key}&flood=2000")
        answer = connection.getresponse()
        await server.logged(key, lambda log: "waits" in log)
        await asyncio.sleep(0.2)
        assert "flooded" not in str(server.log(key)), "nobody reads, and all was taken"
        assert len(answer.read()) == 2000 * CHUNK
        connection.close()
        log = await server.logged(key, is_closed)
        assert most_of(log) <= LIMITS.outgoing + 2 * CHUNK
        assert log[-1] == ["closed", 1000, ""]

    @asynchronous
    async def test_stream_that_is_cut(self, server: RunningServer) -> None:
        key = new_key()
        with pytest.raises(http.client.IncompleteRead):
            server.request("GET", f"/events?key={key}&count=3&abort=1")
        assert await server.logged(key, is_closed) == ["opened", ["closed", 1006, ""]]

    # The end of the server.

    @needs("shutdown_socket")
    def test_shutdown_closes_websockets(self, ending: Ending) -> None:
        assert ending.code in (1001, 1012)

    @needs("shutdown_hook")
    def test_shutdown_is_told(self, ending: Ending) -> None:
        assert ending.socket_log[0] == "opened"
        assert ending.socket_log[1][1] in (1001, 1012)

    @needs("shutdown_stream")
    def test_shutdown_ends_streams(self, ending: Ending) -> None:
        assert ending.stream.endswith(b"\r\n0\r\n\r\n"), ending.stream[-100:]

    def test_shutdown_is_complete(self, ending: Ending) -> None:
        assert ending.seconds < 5
        assert is_closed(ending.socket_log)
        assert is_closed(ending.stream_log)
