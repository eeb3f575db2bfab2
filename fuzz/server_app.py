"""An application that does what the client's own bytes say: the letters of a query or of a message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from longwave.contract import FullReply, Link, Reply, Request, StreamReply
from longwave.errors import RequestError
from longwave.types import SendStatus
from tests.server.fake_app import TEXT, FakeApp, FakeSession

__all__ = ["Planned", "ScriptApp", "ScriptSession"]


class Planned(Exception):
    """What the application raises on purpose."""


class ScriptApp(FakeApp):
    """`FakeApp` with sessions that run scripts; a stream's stands in its query."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[ScriptSession] = []  # type: ignore[assignment]
        self.script = ""

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer, and note the script."""
        _path, _, query = request.target.partition(b"?")
        self.script = query.decode("latin-1")[:40]
        return super().handle(request)

    def session(self) -> FakeSession:
        """Return a new session with the script of the request."""
        session = ScriptSession(self.script)
        self.sessions.append(session)
        return session

    def on_fail(self, request: Request) -> Reply:
        """Break the contract."""
        raise Planned

    async def on_fail_later(self, request: Request) -> Reply:
        """Break the contract a turn later."""
        await asyncio.sleep(0)
        raise Planned

    def on_large(self, request: Request) -> Reply:
        """Answer with more than the outgoing bound."""
        return FullReply(200, TEXT, b"x" * 19_000)

    def on_both(self, request: Request) -> Reply:
        """Stream the body back as it comes."""
        session = ScriptSession("")
        self.sessions.append(session)

        async def pump(link: Link) -> None:
            if request.body is not None:
                try:
                    async for piece in request.body:
                        link.write(link.wire.frame(piece, True))
                        await link.drained(1000)
                except RequestError:
                    return link.abort()
            return link.close()

        session.on_opened = lambda link: session.keep(asyncio.ensure_future(pump(link)))
        return StreamReply(200, list(TEXT), session, "body")

    def on_status(self, request: Request) -> Reply:
        """Answer with a status that has no body, but with one."""
        status = (200, 204, 304, 205, 404)[len(self.script) % 5]
        return FullReply(status, [*TEXT, (b"connection", b"close")] if "c" in self.script else TEXT, b"body")


class ScriptSession(FakeSession):
    """Runs letters: write, big, close, abort, fail, go on later, wait until drained, ping, pause, resume."""

    def __init__(self, script: str) -> None:
        super().__init__(echo=False)
        self.script = script
        self.tasks: set[asyncio.Task[None]] = set()

    def opened(self, link: Link) -> None:
        """Run the script of the request."""
        super().opened(link)
        self.run(self.script)

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Run a message, or echo it."""
        assert not self.ends, "a message after the end"
        super().received(data, is_text)
        assert self.link is not None
        if isinstance(data, str):
            self.run(data[:40])
        else:
            self.link.write(self.link.wire.frame(data, False))

    def closed(self, code: int, reason: str) -> None:
        """Note the end, and try what can be done no more."""
        super().closed(code, reason)
        assert self.link is not None
        status = self.link.write(self.link.wire.frame(b"late", True))
        assert status is SendStatus.CLOSED, status
        self.run("gcpr")
        if "f" in self.script:
            raise Planned

    def check_end(self) -> None:
        """Check that what was told is one life, or none."""
        told = [entry[0] for entry in self.log]
        assert not told or (told[0], told[-1]) == ("opened", "closed"), told
        assert told.count("opened") == told.count("closed") <= 1, told
        assert not self.tasks

    def run(self, script: str) -> None:
        """Run letters; any other letter means nothing."""
        link = self.link
        assert link is not None
        for at, letter in enumerate(script):
            if letter in "wb":
                link.write(link.wire.frame(b"event" if letter == "w" else b"x" * 3000, True))
            elif letter == "c":
                link.close()
            elif letter == "a":
                link.abort()
            elif letter == "f":
                raise Planned
            elif letter == "l":
                asyncio.get_running_loop().call_soon(self.go_on, script[at + 1 :])
                break
            elif letter == "d":
                self.keep(asyncio.ensure_future(self.wait(link, script[at + 1 :])))
                break
            elif letter == "g":
                link.ping(b"?")
            elif letter == "p":
                link.pause()
            elif letter == "r":
                link.resume()

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold a task until it ends."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def go_on(self, script: str) -> None:
        """Run the rest, as a task of the user's would: with nobody above it."""
        try:
            self.run(script)
        except Planned:
            pass

    async def wait(self, link: Link, script: str) -> None:
        """Wait until all is taken, and run the rest."""
        await link.drained(len(script) * 100)
        self.go_on(script)
