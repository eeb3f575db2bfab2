"""`create_websocket_proxy` on real sockets: our server before, a `websockets` server or a script behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from longwave import Event, HTTPError, Peer, Response, UpgradeResult, create_websocket_proxy
from longwave.errors import DefinitionError
from longwave.web import websocket_proxy
from longwave.web.websocket_proxy import Upstream, UpstreamClose
from tests.web.upstreams import Running, ask, on_sockets, scripted, serving, until

Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(socket: ServerConnection) -> None:
    """Say what was asked and offered, then say everything back; `close 4321 why` closes."""
    request = socket.request
    assert request is not None
    await socket.send(f"welcome {request.path}")
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            if isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await socket.close(int(code), reason)
            else:
                await socket.send(message)


@contextlib.asynccontextmanager
async def behind(handler: Handler = echo, **options: Any) -> AsyncIterator[str]:
    """Serve an upstream; yields its address."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield address(server)


def address(server: Server) -> str:
    return f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def before(target: Any, **options: Any) -> Any:
    return serving({"/ws": create_websocket_proxy(target, **options)}, timeouts={"close": 1})


def joined(front: Running, **options: Any) -> connect:
    return connect(f"{front.websocket_url}/ws", proxy=None, compression=None, **options)


@on_sockets
async def test_messages_both_ways() -> None:
    async with behind() as url, before(f"{url}/up?x=y") as front, joined(front) as socket:
        assert await socket.recv() == "welcome /up?x=y"
        for message in ("grüße 🙂", "", b"\x00\xff", b"", "x" * 70_000, b"y" * 500_000):
            await socket.send(message)
            assert await socket.recv() == message
        for number in range(500):
            await socket.send(str(number))
        assert [await socket.recv() for _ in range(500)] == list(map(str, range(500)))


@on_sockets
async def test_what_is_said_before_the_upstream_is_there_comes_first_and_in_order() -> None:
    allowed = asyncio.Event()

    async def target(peer: Peer) -> str:
        await allowed.wait()
        return url

    async with behind() as url, before(target) as front, joined(front) as socket:
        for number in range(10):
            await socket.send(str(number))
        await socket.send(b"\x01")
        await asyncio.sleep(0.05)
        allowed.set()
        assert await socket.recv() == "welcome /"
        assert [await socket.recv() for _ in range(11)] == [*map(str, range(10)), b"\x01"]


@on_sockets
async def test_what_comes_while_the_early_messages_are_sent_comes_after_them() -> None:
    connecting, reading = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def target(peer: Peer) -> str:
        await connecting.wait()
        return url

    async def slow(socket: ServerConnection) -> None:
        await reading.wait()
        async for message in socket:
            assert isinstance(message, bytes)
            seen.append(int.from_bytes(message[:4], "big"))

    async with behind(slow, max_queue=1) as url, before(target, max_buffer_size=0) as front:
        async with joined(front) as socket:
            # More than the sockets on the way hold, so that the first part is on its way for long.
            for number in range(400):
                await socket.send(number.to_bytes(4, "big") + b"x" * 50_000)
            await (await socket.ping())
            connecting.set()
            await asyncio.sleep(0.1)
            for number in range(400, 410):
                await socket.send(number.to_bytes(4, "big"))
            await (await socket.ping())
            reading.set()
            await until(lambda: len(seen) == 410)
    assert seen == list(range(410))


@pytest.mark.parametrize(
    ("forward", "offered", "upstream", "client"),
    [
        (True, ["a", "b"], "a, b", "a"),
        (False, ["a", "b"], None, None),
        ("fixed", ["a"], "fixed", "a"),
        (["x", " y ", "", None, "x"], ["a"], "x, y", "a"),
        ({"a": "b", "toString": "no"}, ["a", "b", "c"], "b, c", "a"),
        (lambda peer: f"for-{peer.request.path[1:]}", ["a"], "for-ws", "a"),
        (lambda peer: None, ["a"], None, "a"),
        (True, [], None, None),
    ],
)
@on_sockets
async def test_subprotocols(
    forward: Any, offered: list[str], upstream: str | None, client: str | None
) -> None:
    seen: list[str | None] = []

    async def handler(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append(socket.request.headers.get("sec-websocket-protocol"))
        await socket.send("there")

    def first(socket: ServerConnection, names: Any) -> Any:
        return names[0] if names else None

    async with (
        behind(handler, select_subprotocol=first) as url,
        before(url, forward_protocol=forward) as front,
    ):
        async with joined(front, subprotocols=offered or None) as socket:
            assert await socket.recv() == "there"
            assert socket.subprotocol == client
    assert seen == [upstream]


@pytest.mark.parametrize("dynamic", [False, True])
@on_sockets
async def test_headers_and_options(dynamic: bool) -> None:
    seen: list[dict[str, str]] = []

    async def handler(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append({k.lower(): v for k, v in socket.request.headers.raw_items()})
        await socket.send("there")

    headers: Any = {"X-Key": "1", "Host": "other.example"}
    options: Any = {"headers": {"X-Key": "0"}, "compression": True, "max_size": 10}
    if dynamic:
        headers, options = (lambda peer, value=value: value for value in (headers, options))
    async with behind(handler) as url:
        async with before(url, headers=headers, websocket_options=options) as front, joined(front) as socket:
            await socket.recv()
        # `headers` of the options count where there are no others.
        async with before(url, websocket_options=options) as front, joined(front) as socket:
            await socket.recv()
    assert (seen[0]["x-key"], seen[0]["host"]) == ("1", "other.example")
    assert "permessage-deflate" in seen[0]["sec-websocket-extensions"]
    assert "user-agent" not in seen[0] and "cookie" not in seen[0]
    assert (seen[1]["x-key"], seen[1]["host"]) == ("0", url.removeprefix("ws://"))


@on_sockets
async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "up.sock"
    async with (
        unix_serve(echo, str(path)),
        before(f"ws+unix://{path}:/x?y") as front,
        joined(front) as socket,
    ):
        assert await socket.recv() == "welcome /x?y"


@on_sockets
async def test_another_client() -> None:
    made: list[Any] = []

    class Fake:
        subprotocol = None

        def __init__(self) -> None:
            self.queue: asyncio.Queue[Any] = asyncio.Queue()
            self.closed_with: Any = None

        async def send(self, message: Any) -> None:
            await self.queue.put(message)

        async def recv(self) -> Any:
            return await self.queue.get()

        async def close(self, code: int = 1000, reason: str = "") -> None:
            self.closed_with = (code, reason)

    async def client(*arguments: Any, **options: Any) -> Any:
        made.append((*arguments, options, Fake()))
        return made[-1][-1]

    options: Any = {"websocket": client, "headers": {"A": "b"}, "websocket_options": {"c": 1}}
    async with before("ws://nowhere/", **options) as front:
        async with joined(front, subprotocols=["p"]) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
        await until(lambda: made[0][-1].closed_with == (1000, ""))
    assert made[0][:-1] == ("ws://nowhere/", ["p"], [("a", "b")], {"c": 1})


# The end.


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", (1000, "")),
        (4321, "enough", (4321, "enough")),
        (1012, "r", (1012, "r")),
        (1008, "é" * 61, (1008, "é" * 61)),
    ],
)
@on_sockets
async def test_the_upstreams_end_is_the_clients(code: int, reason: str, expected: tuple[int, str]) -> None:
    ends: list[UpstreamClose] = []
    async with behind() as url, before(url, on_upstream_close=lambda peer, end: ends.append(end)) as front:
        async with joined(front) as socket:
            await socket.send(f"close {code} {reason}")
            with pytest.raises(ConnectionClosed):
                while True:
                    await socket.recv()
        assert (socket.close_code, socket.close_reason) == expected
    assert ends == [UpstreamClose(url, "upstream", code, reason)]


FRAMES = {
    "no code": (b"\x88\x00", 1000, 1005),
    "lost": (b"", 1011, 1006),
    "too big": (b"\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff", 1009, 1009),
    "bad frame": (b"\xf2\x00", 1011, 1006),
    "bad text": (b"\x81\x02\xff\xff", 1011, 1006),
}


@pytest.mark.parametrize("name", FRAMES)
@on_sockets
async def test_ends_that_are_no_codes(name: str) -> None:
    frames, expected, told = FRAMES[name]
    ends: list[UpstreamClose] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(back.heads[0]) + b"\x81\x02hi" + frames)
        await writer.drain()
        if frames:
            await reader.read(1000)

    async with scripted(script) as back:
        target = back.url.replace("http", "ws")
        async with before(target, on_upstream_close=lambda peer, end: ends.append(end)) as front:
            async with joined(front) as socket:
                assert await socket.recv() == "hi"
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            assert socket.close_code == expected
    assert [(end.source, end.code) for end in ends] == [("upstream", told)]


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "bye", (1000, "bye")),
        (4002, "x", (4002, "x")),
        (1001, "", (1000, "")),
        (1008, "no", (1000, "no")),
    ],
)
@on_sockets
async def test_the_clients_end_is_the_upstreams(code: int, reason: str, expected: tuple[int, str]) -> None:
    ends: list[Any] = []
    told: list[UpstreamClose] = []

    async def handler(socket: ServerConnection) -> None:
        await socket.send("there")
        await socket.wait_closed()
        ends.append((socket.close_code, socket.close_reason))

    async with (
        behind(handler) as url,
        before(url, on_upstream_close=lambda peer, end: told.append(end)) as front,
    ):
        async with joined(front) as socket:
            await socket.recv()
            await socket.close(code, reason)
        await until(lambda: ends)
    assert ends == [expected]
    assert told == [UpstreamClose(url, "client", code, reason)]


@on_sockets
async def test_a_client_that_is_lost() -> None:
    ends: list[int | None] = []

    async def handler(socket: ServerConnection) -> None:
        await socket.send("there")
        await socket.wait_closed()
        ends.append(socket.close_code)

    async with behind(handler) as url, before(url) as front:
        async with joined(front) as socket:
            await socket.recv()
            socket.transport.abort()
        await until(lambda: ends)
        await until(lambda: front.app.stats()["tasks"] == 0)
    assert ends == [1000]


@on_sockets
async def test_an_upstream_that_does_not_close_is_cut() -> None:
    cut = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(back.heads[0]) + b"\x81\x02hi")
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                pass
        cut.set()

    async with scripted(script) as back, before(back.url.replace("http", "ws")) as front:
        async with joined(front) as socket:
            assert await socket.recv() == "hi"
        assert not cut.is_set()
        await asyncio.wait_for(cut.wait(), 3)


@on_sockets
async def test_an_upstream_that_answers_no_ping_is_given_up() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(back.heads[0]) + b"\x81\x02hi")
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                pass

    options = {"ping_interval": 0.1, "ping_timeout": 0.1, "close_timeout": 0.1}
    async with scripted(script) as back:
        async with before(back.url.replace("http", "ws"), websocket_options=options) as front:
            async with joined(front) as socket:
                assert await socket.recv() == "hi"
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), 5)
                assert socket.close_code == 1011


# What goes wrong.


def failing(peer: Peer) -> str:
    raise RuntimeError("no idea")


async def failing_later(peer: Peer) -> str:
    raise RuntimeError("no idea")


@pytest.mark.parametrize(
    ("target", "options", "source"),
    [
        (failing, {}, None),
        (failing_later, {}, None),
        (lambda peer: "http://not-a-websocket/", {}, None),
        ("ws://127.0.0.1:1/", {}, "upstream"),
        ("ws://127.0.0.1:1/", {"headers": lambda peer: {"Upgrade": "x"}}, "proxy"),
        ("ws://127.0.0.1:1/", {"headers": lambda peer: {"A\r\n": "x"}}, "proxy"),
        ("ws://127.0.0.1:1/", {"websocket_options": {"colour": "red"}}, "proxy"),
        ("ws://127.0.0.1:1/", {"on_upstream_connect": failing}, "proxy"),
    ],
)
@on_sockets
async def test_an_upstream_that_cannot_be_had_is_1011(
    target: Any, options: dict[str, Any], source: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[UpstreamClose] = []
    options = {**options, "on_upstream_close": lambda peer, end: ends.append(end)}
    async with before(target, **options) as front, joined(front) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1011
    assert [end.source for end in ends] == ([source] if source else [])
    assert caplog.text


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 101 x\r\n\r\n", b"what?\r\n\r\n", b""],
)
@on_sockets
async def test_a_handshake_that_fails_is_1011(answer: bytes) -> None:
    async with scripted(answer) as back, before(back.url.replace("http", "ws")) as front:
        async with joined(front) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (1011, "Upstream error")


@on_sockets
async def test_no_redirect_is_followed() -> None:
    async with behind() as url:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with scripted(moved) as back, before(back.url.replace("http", "ws")) as front:
            async with joined(front) as socket:
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert socket.close_code == 1011


@pytest.mark.parametrize("resolving", [False, True])
@on_sockets
async def test_the_time_to_connect_is_bounded(resolving: bool) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async def never(peer: Peer) -> str:
        await asyncio.Event().wait()
        return ""

    async with scripted(script) as back:
        target: Any = never if resolving else back.url.replace("http", "ws")
        async with before(target, connect_timeout=0.1) as front, joined(front) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (1011, "Upstream connect timeout")
        if not resolving:
            await asyncio.wait_for(back.lost.wait(), 2)


@pytest.mark.parametrize(("size", "code"), [(1000, None), (1001, 1009)])
@on_sockets
async def test_what_waits_for_the_upstream_is_bounded(size: int, code: int | None) -> None:
    allowed = asyncio.Event()

    async def target(peer: Peer) -> str:
        await allowed.wait()
        return url

    async with behind() as url, before(target, max_buffer_size=1000) as front, joined(front) as socket:
        # 500 characters that are two bytes each on the wire.
        await socket.send("é" * 250)
        await socket.send("x" * (size - 500))
        if code is None:
            await asyncio.sleep(0.05)
            allowed.set()
            assert (await socket.recv(), await socket.recv()) == ("welcome /", "é" * 250)
        else:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (code, "Proxy buffer limit exceeded")


@on_sockets
async def test_a_silent_client_is_closed_where_that_is_wanted() -> None:
    ends: list[UpstreamClose] = []

    async def talk(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send("news")
                await asyncio.sleep(0.02)

    options: Any = {"client_idle_timeout": 0.3, "on_upstream_close": lambda peer, end: ends.append(end)}
    async with behind(talk) as url, before(url, **options) as front, joined(front) as socket:
        for _ in range(5):
            await asyncio.sleep(0.1)
            await socket.send("here")
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.recv()
        assert (socket.close_code, socket.close_reason) == (1001, "Client idle timeout")
        assert ends == [UpstreamClose(url, "proxy", 1001, "Client idle timeout")]


@on_sockets
async def test_who_is_told() -> None:
    told: list[Any] = []

    def connecting(peer: Peer, upstream: Upstream) -> None:
        told.append(("connect", upstream.url, len(peer.peers)))

    def opened(peer: Peer, upstream: Upstream) -> None:
        told.append(("open", upstream.url))
        raise RuntimeError("logged, no more")

    def closed(peer: Peer, end: UpstreamClose) -> None:
        told.append(("close", end.source, end.code))

    options: Any = {
        "on_upstream_connect": connecting,
        "on_upstream_open": opened,
        "on_upstream_close": closed,
    }
    async with behind() as url, before(url, **options) as front:
        async with joined(front) as socket:
            assert await socket.recv() == "welcome /"
        await until(lambda: len(told) == 3)
    assert told == [("connect", url, 1), ("open", url), ("close", "client", 1000)]


# Backpressure.


@on_sockets
async def test_a_client_that_does_not_read_holds_the_upstream_back() -> None:
    sent = 0

    async def flood(socket: ServerConnection) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            for number in range(2000):
                await socket.send(number.to_bytes(4, "big") + b"x" * 50_000)
                sent += 1

    async with behind(flood) as url, before(url) as front:
        async with joined(front, max_queue=1) as socket:
            before_ = -1
            while before_ != sent or not sent:
                before_ = sent
                await asyncio.sleep(0.3)
            assert sent < 800
            for number in range(2000):
                message = await socket.recv()
                assert isinstance(message, bytes) and int.from_bytes(message[:4], "big") == number


@on_sockets
async def test_an_upstream_that_does_not_read_holds_the_client_back() -> None:
    allowed = asyncio.Event()
    seen = 0

    async def slow(socket: ServerConnection) -> None:
        nonlocal seen
        await allowed.wait()
        async for _ in socket:
            seen += 1

    async with behind(slow, max_queue=1) as url, before(url) as front, joined(front) as socket:
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for _ in range(2000):
                await socket.send(b"x" * 50_000)
                sent += 1

        flooding = asyncio.create_task(flood())
        before_ = -1
        while before_ != sent or not sent:
            before_ = sent
            await asyncio.sleep(0.3)
        assert sent < 800
        assert front.app.stats()["peers"] == 1
        allowed.set()
        await flooding
        await until(lambda: seen == 2000, 15)


# Connected before the client is accepted.

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@on_sockets
async def test_connect_at_upgrade_hands_on_the_refusal_and_the_subprotocol() -> None:
    async def decide(socket: ServerConnection, request: Any) -> Any:
        if request.path == "/no":
            response = socket.respond(401, "who are you?")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    async with behind(process_request=decide, subprotocols=["b"]) as url:
        async with before(f"{url}/no", connect="upgrade") as front:
            with pytest.raises(InvalidStatus) as refused:
                async with joined(front):
                    pass
            response = refused.value.response
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert response.body == b"who are you?"
        told: list[Any] = []
        options: Any = {
            "connect": "upgrade",
            "on_upstream_open": lambda peer, upstream: told.append(upstream.url),
            "headers": lambda event: {"x-path": event.path},
        }
        async with before(f"{url}/yes", **options) as front:
            async with joined(front, subprotocols=["a", "b"]) as socket:
                assert socket.subprotocol == "b"
                assert await socket.recv() == "welcome /yes"
                await socket.send("hello")
                assert await socket.recv() == "hello"
            async with joined(front, subprotocols=["b"]) as socket:
                await socket.send("close 4000 enough")
                with pytest.raises(ConnectionClosed):
                    while True:
                        await socket.recv()
                assert socket.close_code == 4000
        assert told == [f"{url}/yes"] * 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302),
        (b"nonsense\r\n\r\n", 502),
        (b"", 502),
        (None, 504),
    ],
)
@on_sockets
async def test_connect_at_upgrade_with_a_bad_upstream(answer: bytes | None, status: int) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async with scripted(silent if answer is None else answer) as back:
        target = back.url.replace("http", "ws")
        async with before(target, connect="upgrade", connect_timeout=0.2) as front:
            # By hand: the client of these tests would follow a redirect.
            async with ask(front.port, HANDSHAKE) as talk:
                assert (await talk.head())[0] == status
        if answer is None:
            await asyncio.wait_for(back.lost.wait(), 2)


@on_sockets
async def test_an_upstream_whose_client_is_not_accepted_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_proxy, "CONNECT", 0.1)
    ends: list[int | None] = []

    async def handler(socket: ServerConnection) -> None:
        await socket.wait_closed()
        ends.append(socket.close_code)

    async def middleware(event: Event, next: Any) -> Response:
        await next()
        return Response("no", 403)

    async with behind(handler) as url:
        routes = {"/ws": create_websocket_proxy(url, connect="upgrade")}
        async with serving(routes, middleware=[middleware]) as front:
            with pytest.raises(InvalidStatus):
                async with joined(front):
                    pass
            await until(lambda: ends == [1000])


@on_sockets
async def test_the_upgrade_hook_decides() -> None:
    async def admit(event: Event) -> Any:
        match event.query_string:
            case "error":
                raise HTTPError(403, "no")
            case "response":
                return Response("not you", 401)
            case "returned":
                return HTTPError(404)
            case "settled":
                return UpgradeResult(headers={"x-a": "b"}, protocol="b", context={"who": "ada"})
        return None

    async with behind() as url:
        for early in ("open", "upgrade"):
            options: Any = {"upgrade": admit, "connect": early, "headers": lambda client: {}}
            async with before(url, **options) as front:
                for query, status in (("error", 403), ("response", 401), ("returned", 404)):
                    with pytest.raises(InvalidStatus) as refused:
                        await connect(f"{front.websocket_url}/ws?{query}", proxy=None)
                    assert refused.value.response.status_code == status
                target = f"{front.websocket_url}/ws?settled"
                protocols: Any = ["a", "b"]
                async with connect(target, proxy=None, subprotocols=protocols) as socket:
                    assert socket.subprotocol == "b" and socket.response is not None
                    assert socket.response.headers["x-a"] == "b"


@pytest.mark.parametrize(
    "options",
    [{"target": "http://x/"}, {"target": "localhost"}, {"target": "ws://x/", "connect": "later"}],
)
def test_options_that_cannot_be(options: Any) -> None:
    with pytest.raises(DefinitionError):
        create_websocket_proxy(**options)


def accept(head: str) -> bytes:
    """Return the handshake that answers a request head."""
    from longwave.core.handshake import accept_key, encode_switch

    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    exact = next(line for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    assert "sec-websocket-key" in lines
    return encode_switch(accept_key(exact.split(": ")[1].encode()))
