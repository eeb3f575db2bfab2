"""An observed app and its inspector on a clock that stands still, and pages that look at it."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from longwave.app.app import App
from longwave.contract import FullReply, Reply, Request, StreamReply, UpgradeReply
from longwave.core.frames import WS
from longwave.core.sse import BODY, sse_wire
from longwave.inspector.access import Access, LocalAccess
from longwave.inspector.activity import Activity, Connection, Happening
from longwave.inspector.inspector import Inspector
from longwave.inspector.observed import Observed
from longwave.testing.clock import FakeClock
from longwave.types import Fields
from tests.app.harness import FakeBody, FakeLink, make_app

ADDRESS = ("127.0.0.1", 1234)


class Watched:
    """An app that is observed, with all that it told."""

    def __init__(self, routes: dict[str, Any], access: Access | None = None, **options: Any) -> None:
        self.clock = FakeClock()
        self.app = make_app(routes, clock=self.clock, **options)
        self.activity = Activity()
        self.observed = Observed(self.app, self.activity)
        self.access = access or LocalAccess()
        self.inspector = Inspector(self.app, self.activity, self.access, mode="development")
        self.told: list[Happening] = []

    def follow(self) -> None:
        """Keep all that is told."""
        self.activity.subscribe(self.told.append)

    def run(self, test: Callable[[Watched], Awaitable[None]]) -> None:
        """Start the app, run a test on it, stop it."""

        async def main() -> None:
            await self.observed.startup()
            try:
                async with asyncio.timeout(20):
                    await test(self)
            finally:
                await self.observed.shutdown()

        asyncio.run(main())

    def handle(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Fields | None = None,
        body: FakeBody | None = None,
        upgrade: bool = False,
        scheme: str = "http",
        client: tuple[str, int] | None = ADDRESS,
    ) -> Reply | Awaitable[Reply]:
        """Give a request to what a server would give it to."""
        fields = [(b"host", b"example.com"), *(headers or [])]
        request = Request(
            method,
            target.encode(),
            fields,
            body,
            scheme=scheme,
            client=client,
            is_upgrade=upgrade,
            raw=b"raw",
            parse=lambda raw: fields,
        )
        return self.observed.handle(request)

    async def ask(self, target: str = "/", **options: Any) -> Reply:
        """Return the reply to a request."""
        reply = self.handle(target, **options)
        return await reply if inspect.isawaitable(reply) else reply

    async def full(self, target: str = "/", **options: Any) -> FullReply:
        """Return a reply that has to be whole."""
        reply = await self.ask(target, **options)
        assert isinstance(reply, FullReply), reply
        return reply

    async def open(
        self, target: str = "/ws", link: FakeLink | None = None, **options: Any
    ) -> tuple[Any, FakeLink]:
        """Open a WebSocket; return the session that the server has, and its link."""
        reply = await self.ask(target, upgrade=True, **options)
        assert isinstance(reply, UpgradeReply), reply
        link = link or FakeLink(WS)
        reply.session.opened(link)
        return reply.session, link

    async def stream(self, target: str = "/sse", **options: Any) -> tuple[Any, FakeLink]:
        """Open a stream; return the session that the server has, and its link."""
        reply = await self.ask(target, **options)
        assert isinstance(reply, StreamReply), reply
        link = FakeLink(sse_wire(False) if reply.format == "sse" else BODY)
        reply.session.opened(link)
        return reply.session, link

    async def look(self, **options: Any) -> Look:
        """Open the WebSocket of a page that has been given a token."""
        return await look(self, **options)

    @property
    def connection(self) -> Connection:
        """The one connection that there is."""
        (connection,) = self.activity.connections.values()
        return connection


class Look:
    """A page that looks at the inspector."""

    def __init__(self, session: Any, link: FakeLink) -> None:
        self.session = session
        self.link = link

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.session.received(json.dumps(message), True)

    def heard(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what came, of a type or of all."""
        messages = [json.loads(text) for text in frames(self.link)]
        return [message for message in messages if kind in (None, message["type"])]

    def last(self, kind: str) -> dict[str, Any]:
        """Return the last message of a type."""
        return self.heard(kind)[-1]

    def leave(self) -> None:
        """Go away."""
        self.session.closed(1001, "")


def frames(link: FakeLink) -> list[str]:
    """Return the texts that were written to a WebSocket, of any length."""
    data, found = b"".join(link.written), []
    while data:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        found.append(data[start : start + size].decode())
        data = data[start + size :]
    return found


async def look(watched: Watched, token: str | None = None, **options: Any) -> Look:
    """Open the WebSocket of the inspector."""
    if token is None and isinstance(watched.access, LocalAccess):
        token = watched.access._token
    reply = await watched.ask(
        f"/_longwave/inspector?token={token or ''}",
        upgrade=True,
        headers=[(b"sec-websocket-protocol", b"longwave-inspector"), *options.pop("headers", [])],
        **options,
    )
    assert isinstance(reply, UpgradeReply), reply
    assert reply.protocol == "longwave-inspector"
    link = FakeLink(WS)
    reply.session.opened(link)
    return Look(reply.session, link)


def watch(app: App) -> Observed:
    """Observe an app that nobody follows."""
    return Observed(app, Activity())
