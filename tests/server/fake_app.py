"""A small application for tests of the server: it answers by the path, and remembers what it was told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from longwave.contract import FullReply, Link, Reply, Request, StreamReply, UpgradeReply
from longwave.core.handshake import choose_protocol, offered_protocols
from longwave.errors import RequestError
from longwave.types import SlowPolicy

__all__ = ["FakeApp", "FakeSession"]

TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


class FakeSession:
    """Echoes messages, and remembers everything."""

    def __init__(self, echo: bool = True) -> None:
        self.echo = echo
        self.log: list[tuple[object, ...]] = []
        self.link: Link | None = None
        self.gone = asyncio.Event()
        self.on_opened: Callable[[Link], None] | None = None
        self.on_received: Callable[[str | bytes], None] | None = None

    @property
    def messages(self) -> list[object]:
        """The messages, in order."""
        return [entry[1] for entry in self.log if entry[0] == "received"]

    @property
    def ends(self) -> list[tuple[object, ...]]:
        """Every `closed`."""
        return [entry[1:] for entry in self.log if entry[0] == "closed"]

    def opened(self, link: Link) -> None:
        self.link = link
        self.log.append(("opened",))
        if self.on_opened is not None:
            self.on_opened(link)

    def received(self, data: str | bytes, is_text: bool) -> None:
        assert isinstance(data, str) is is_text
        self.log.append(("received", data))
        if self.on_received is not None:
            self.on_received(data)
        if self.echo:
            assert self.link is not None
            raw = data.encode() if isinstance(data, str) else data
            self.link.write(self.link.wire.frame(raw, is_text))

    def pinged(self, data: bytes) -> None:
        self.log.append(("pinged", data))

    def ponged(self, data: bytes) -> None:
        self.log.append(("ponged", data))

    def drained(self) -> None:
        self.log.append(("drained",))

    def closed(self, code: int, reason: str) -> None:
        self.log.append(("closed", code, reason))
        self.gone.set()


class FakeApp:
    """`/ws` echoes, `/sse` and `/raw` stream, `/hold` waits, `/body` returns the body, else `hello`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.sessions: list[FakeSession] = []
        self.make_session: Callable[[], FakeSession] = FakeSession
        self.policy = SlowPolicy.CLOSE
        self.log: list[str] = []
        self.go_on = asyncio.Event()
        self.cancelled = 0

    async def startup(self) -> None:
        self.log.append("startup")

    async def shutdown(self) -> None:
        self.log.append("shutdown")

    def session(self) -> FakeSession:
        """Return a new session, remembered."""
        session = self.make_session()
        self.sessions.append(session)
        return session

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        self.requests.append(request)
        path = request.target.split(b"?")[0].decode()
        answer = getattr(self, "on_" + path.strip("/").replace("/", "_"), None)
        if answer is not None:
            reply: Reply | Awaitable[Reply] = answer(request)
            return reply
        return FullReply(200, TEXT, b"hello " + request.target)

    def on_ws(self, request: Request) -> Reply:
        """Accept a WebSocket."""
        if not request.is_upgrade:
            return FullReply(426, [(b"upgrade", b"websocket")], b"a WebSocket")
        protocol = choose_protocol(offered_protocols(request.headers), ("chat.v2", "chat.v1"))
        return UpgradeReply(self.session(), [(b"x-extra", b"1")], protocol, self.policy)

    async def on_slow_ws(self, request: Request) -> Reply:
        """Accept a WebSocket a little later."""
        await asyncio.sleep(0.01)
        return UpgradeReply(self.session(), [], None, self.policy)

    def on_bad_ws(self, request: Request) -> Reply:
        """Accept with something that would inject a header."""
        return UpgradeReply(self.session(), [(b"x-bad", b"1\r\nx-injected: 1")])

    def on_no_ws(self, request: Request) -> Reply:
        """Refuse a WebSocket."""
        return FullReply(403, [(b"x-why", b"because")], b"no")

    def on_bad(self, request: Request) -> Reply:
        """Answer with something that would inject a header."""
        return FullReply(200, [(b"x-bad", b"1\r\nx-injected: 1")], b"")

    def on_fail(self, request: Request) -> Reply:
        """Break the contract."""
        raise KeyError("secret")

    async def on_later(self, request: Request) -> Reply:
        """Answer a little later."""
        await asyncio.sleep(0.01)
        return FullReply(200, TEXT, b"later")

    async def on_hold(self, request: Request) -> Reply:
        """Answer when the test says so."""
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return FullReply(200, TEXT, b"held")

    async def on_body(self, request: Request) -> Reply:
        """Return the body."""
        try:
            body = b"" if request.body is None else await request.body.read()
        except RequestError as error:
            return FullReply(error.status, TEXT, b"bad body")
        return FullReply(200, TEXT, body)

    def on_unread(self, request: Request) -> Reply:
        """Answer without a look at the body."""
        return FullReply(200, TEXT, b"unread")

    def on_sse(self, request: Request) -> Reply:
        """Stream events: the session is the test's."""
        return StreamReply(200, [(b"content-type", b"text/event-stream")], self.session())

    def on_raw(self, request: Request) -> Reply:
        """Stream bytes."""
        return StreamReply(200, list(TEXT), self.session(), "body")

    def on_length(self, request: Request) -> Reply:
        """Stream ten bytes, said beforehand."""
        return StreamReply(200, [*TEXT, (b"content-length", b"10")], self.session(), "body")

    def on_both(self, request: Request) -> Reply:
        """Stream the body back as it comes."""
        session = self.session()

        async def pump(link: Link) -> None:
            assert request.body is not None
            # The connection of a body that is wrong ends by itself; nobody asks for what this ends with.
            with contextlib.suppress(RequestError):
                async for piece in request.body:
                    link.write(link.wire.frame(piece, True))
                    await link.drained(64 * 1024)
                link.close()

        session.on_opened = lambda link: setattr(session, "task", asyncio.ensure_future(pump(link)))
        return StreamReply(200, list(TEXT), session, "body")

    def on_large(self, request: Request) -> Reply:
        """Answer with four megabytes."""
        return FullReply(200, TEXT, b"x" * 4_000_000)
