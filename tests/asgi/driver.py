"""The server's side of ASGI, scripted: what is received is put, what is sent is looked at."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from longwave.asgi.app import AsgiApp
from longwave.contract import Link, Reply, Request
from longwave.limits import Limits, Timeouts

__all__ = ["Application", "Host", "Recorder", "asynchronous", "http_scope", "turns", "websocket_scope"]


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as a test, within a time limit."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(10):
                await test(*arguments, **named)

        asyncio.run(limited())

    return run


class Application:
    """A `contract.Application` that answers by a function."""

    def __init__(self, handle: Callable[[Request], Reply | Awaitable[Reply]]) -> None:
        self._handle = handle
        self.calls: list[str] = []
        self.failure: Exception | None = None

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        self.calls.append("handle")
        return self._handle(request)

    async def startup(self) -> None:
        await asyncio.sleep(0)
        self.calls.append("startup")
        if self.failure is not None:
            raise self.failure

    async def shutdown(self) -> None:
        self.calls.append("shutdown")
        if self.failure is not None:
            raise self.failure


class Recorder:
    """A `contract.Session` that keeps what it is told, and may act on a message."""

    def __init__(self, on_message: Callable[[Link, str | bytes], object] | None = None) -> None:
        self.events: list[Any] = []
        self.link: Link
        self._on_message = on_message

    def opened(self, link: Link) -> None:
        self.link = link
        self.events.append("opened")

    def received(self, data: str | bytes, is_text: bool) -> None:
        assert is_text == isinstance(data, str)
        self.events.append(data)
        if self._on_message is not None:
            self._on_message(self.link, data)

    def pinged(self, data: bytes) -> None:
        self.events.append(("ping", data))

    def ponged(self, data: bytes) -> None:
        self.events.append(("pong", data))

    def drained(self) -> None:
        self.events.append("drained")

    def closed(self, code: int, reason: str) -> None:
        self.events.append(("closed", code, reason))

    def text(self, data: str) -> Any:
        return self.link.write(self.link.wire.frame(data.encode(), True))

    def bytes(self, data: bytes) -> Any:
        return self.link.write(self.link.wire.frame(data, False))


class Host:
    """An ASGI server that serves one scope."""

    def __init__(
        self,
        application: Application | AsgiApp,
        scope: dict[str, Any],
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        app = application if isinstance(application, AsgiApp) else AsgiApp(application, limits, timeouts)
        self.app = app
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failure: BaseException | None = None
        self.lost = False
        self.receiving = 0
        self.task = asyncio.ensure_future(app(scope, self.receive, self.send))

    async def receive(self) -> dict[str, Any]:
        self.receiving += 1
        assert self.receiving == 1, "receive() is called while it is waited for"
        try:
            message = await self.inbox.get()
            if self.lost:
                raise OSError("gone")
            return message
        finally:
            self.receiving -= 1

    async def send(self, message: dict[str, Any]) -> None:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)

    def put(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.inbox.put_nowait(message)

    def body(self, data: bytes = b"", more: bool = False) -> None:
        self.put({"type": "http.request", "body": data, "more_body": more})

    def text(self, data: str) -> None:
        self.put({"type": "websocket.receive", "text": data})

    async def finish(self) -> list[dict[str, Any]]:
        await self.task
        return self.sent

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def http_scope(method: str = "GET", path: str = "/", **changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.com")],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 80),
        **changes,
    }


def websocket_scope(path: str = "/", **changes: Any) -> dict[str, Any]:
    scope = http_scope(path=path, type="websocket", scheme="ws", subprotocols=[])
    del scope["method"]
    scope["extensions"] = {"websocket.http.response": {}}
    return {**scope, **changes}


async def turns(count: int = 20) -> None:
    """Let everything that can run now run."""
    for _ in range(count):
        await asyncio.sleep(0)
