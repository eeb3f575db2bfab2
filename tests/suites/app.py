"""The application of the link suite: it knows the contract and nothing of ours above it.

A WebSocket at `/echo` welcomes, echoes and obeys commands; streams and bodies have paths of their own. What
sessions were told is kept under the `key` of their query, and `/log?key=...` tells it.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qs

from longwave.contract import FullReply, Link, Reply, Request, StreamReply, UpgradeReply
from longwave.errors import RequestError
from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus

__all__ = ["CHUNK", "LIMITS", "LOGGED", "TIMEOUTS", "SuiteApplication"]

LIMITS = Limits(body=100_000, message=100_000, outgoing=400_000)
TIMEOUTS = Timeouts(close=1.0, body=5.0)
CHUNK = 10_000
LOGGED = "the log: "
"""What stands before the log that is printed at the end."""


class SuiteApplication:
    """A `contract.Application`."""

    def __init__(self) -> None:
        self.log: dict[str, list[Any]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self) -> None:
        self.log.clear()

    async def shutdown(self) -> None:
        print(LOGGED + json.dumps(self.log), flush=True)

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        path, _, query = request.target.decode().partition("?")
        options = {name: values[0] for name, values in parse_qs(query).items()}
        log = self.log[options.get("key", "")]
        if request.is_upgrade:
            return self._upgrade(request, path, log)
        match path:
            case "/log":
                return FullReply(200, [], json.dumps(log).encode())
            case "/hello":
                return FullReply(200, [(b"x-one", b"1")], b"hello")
            case "/events" | "/bytes":
                session = Streamer(self, log, options, path == "/bytes")
                kind = b"text/event-stream" if path == "/events" else b"application/octet-stream"
                return StreamReply(
                    200, [(b"content-type", kind)], session, "body" if session.plain else "sse"
                )
            case "/body":
                return self._body(request)
            case "/slow":
                return self._slow(log)
        return FullReply(404)

    def spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _upgrade(self, request: Request, path: str, log: list[Any]) -> Reply:
        if path == "/refused":
            return FullReply(401, [(b"www-authenticate", b"Bearer")], b'{"error": "who are you?"}')
        offered = (request.header(b"sec-websocket-protocol") or b"").decode().split(", ")
        headers = [(b"x-seen", request.header(b"x-sent") or b"nothing")]
        return UpgradeReply(Echo(self, log), headers, "chat.v2" if "chat.v2" in offered else None)

    async def _body(self, request: Request) -> Reply:
        try:
            return FullReply(200, [], b"" if request.body is None else await request.body.read())
        except RequestError as error:
            return FullReply(error.status, [], error.message.encode())

    async def _slow(self, log: list[Any]) -> Reply:
        log.append("began")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        return FullReply(200)


class Recording:
    """A session that keeps what it is told."""

    def __init__(self, app: SuiteApplication, log: list[Any]) -> None:
        self.app = app
        self.log = log
        self.link: Link

    def opened(self, link: Link) -> None:
        self.link = link
        self.log.append("opened")

    def received(self, data: str | bytes, is_text: bool) -> None:
        self.log.append("received")

    def pinged(self, data: bytes) -> None:
        self.log.append(["pinged", data.decode()])

    def ponged(self, data: bytes) -> None:
        self.log.append(["ponged", data.decode()])

    def drained(self) -> None:
        self.log.append("drained")

    def closed(self, code: int, reason: str) -> None:
        self.log.append(["closed", code, reason])

    async def flood(self, count: int) -> None:
        """Write as much as is taken, and wait where the buffer is more than half full, as a push does."""
        most = 0
        piece = self.link.wire.frame(b"x" * CHUNK, False)
        for _ in range(count):
            status = self.link.write(piece)
            most = max(most, self.link.buffered)
            if status is SendStatus.CLOSED:
                break
            if status is SendStatus.BUFFERED:
                self.log.append("waits")
                await self.link.drained(LIMITS.outgoing // 2)
        self.log.append(["flooded", most])


class Echo(Recording):
    """Welcomes, echoes, and obeys texts that begin with an exclamation mark."""

    def opened(self, link: Link) -> None:
        super().opened(link)
        link.write(link.wire.frame(b"welcome", True))

    def received(self, data: str | bytes, is_text: bool) -> None:
        if isinstance(data, bytes):
            self.link.write(self.link.wire.frame(data, False))
        elif data.startswith("!"):
            self.obey(*data[1:].split(" "))
        else:
            self.log.append(data[:100])
            self.link.write(self.link.wire.frame(data.encode(), True))

    def obey(self, command: str, *words: str) -> None:
        link = self.link
        if command == "close":
            link.close(int(words[0]), " ".join(words[1:]))
        elif command == "abort":
            link.abort()
        elif command == "ping":
            link.ping(words[0].encode())
        elif command == "pause":
            link.pause()
            asyncio.get_running_loop().call_later(float(words[0]), self._resume)
        elif command == "overflow":
            self._overflow()
        elif command == "flood":
            self.app.spawn(self.flood(int(words[0])))
        else:
            raise AssertionError(command)

    def _resume(self) -> None:
        self.log.append("resumed")
        self.link.resume()

    def _overflow(self) -> None:
        """Write without a look at what is taken, until something says no."""
        piece = self.link.wire.frame(b"x" * CHUNK, False)
        statuses: list[SendStatus] = []
        most = 0
        while not statuses or statuses[-1] is not SendStatus.CLOSED:
            statuses.append(self.link.write(piece))
            most = max(most, self.link.buffered)
        self.log.append(["overflowed", most, SendStatus.BUFFERED in statuses])


class Streamer(Recording):
    """Writes `count` events or chunks, and ends or (`stay`) goes on being silent."""

    def __init__(self, app: SuiteApplication, log: list[Any], options: dict[str, str], plain: bool) -> None:
        super().__init__(app, log)
        self.options = options
        self.plain = plain

    def opened(self, link: Link) -> None:
        super().opened(link)
        self.app.spawn(self._write())

    async def _write(self) -> None:
        link, options = self.link, self.options
        for number in range(int(options.get("count", "0"))):
            link.write(link.wire.frame(b"number %d" % number, True))
        if "flood" in options:
            await self.flood(int(options["flood"]))
        if "abort" in options:
            await link.drained()
            link.abort()
        elif "stay" not in options:
            link.close()
