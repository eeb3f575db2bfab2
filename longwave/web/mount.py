"""A foreign ASGI application, FastAPI for one, below a path of ours.

`AsgiMount` stands at the contract as our own applications do: it gives the foreign one a scope and two
callables, and makes replies and sessions of what it sends (`web/exchange.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

from longwave.contract import FullReply, Reply, Request
from longwave.core.paths import decode_path
from longwave.errors import LongwaveError, RequestError
from longwave.web.exchange import ASGI, Exchange, ForeignApp, HttpExchange, Message, SocketExchange, report

__all__ = ["AsgiMount", "mount_asgi"]


def mount_asgi(app: ForeignApp, prefix: str = "", *, grace: float = 5.0) -> AsgiMount:
    """Return a mount that answers with an ASGI application: HTTP and WebSockets.

    `prefix` is the path that it stands under: its `root_path`. `grace` is how long, in seconds, what still
    runs in it may go on at shutdown.
    """
    return AsgiMount(app, prefix, grace=grace)


class AsgiMount:
    """A foreign ASGI application as a `contract.Application`; made by `mount_asgi`."""

    def __init__(self, app: ForeignApp, prefix: str = "", *, grace: float = 5.0) -> None:
        if prefix and not prefix.startswith("/"):
            raise ValueError(f"the prefix of a mount starts with a slash: /{prefix}, not {prefix}")
        self.app = app
        self.prefix = prefix.rstrip("/")
        self._grace = grace
        self._state: dict[str, Any] = {}
        self._lifespan: _Lifespan | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, request: Request, prefix: str | None = None) -> Reply:
        """Answer one request; `prefix` stands for the mount's own.

        A route gives it that knows better where it is.

        When the client goes before there is a reply, the application hears of it as ASGI has it and is not
        cancelled: it may be in the middle of a write to a database.
        """
        try:
            scope = self._scope(request, self.prefix if prefix is None else prefix.rstrip("/"))
        except RequestError as error:
            return FullReply(
                error.status, [(b"content-type", b"text/plain; charset=utf-8")], error.message.encode()
            )
        exchange: Exchange = SocketExchange() if request.is_upgrade else HttpExchange(request)
        task = asyncio.get_running_loop().create_task(exchange.run(self.app, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await exchange.reply
        except asyncio.CancelledError:
            exchange.leave()
            raise

    async def startup(self) -> None:
        """Start the application's lifespan, if it has one; `LongwaveError` if that fails."""
        self._lifespan = _Lifespan(self.app, self._state)
        await self._lifespan.startup()

    async def shutdown(self) -> None:
        """Wait for what runs, at most `grace` seconds, then end the lifespan."""
        if self._tasks:
            _, running = await asyncio.wait(self._tasks, timeout=self._grace)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        if self._lifespan is not None:
            await self._lifespan.shutdown()
            self._lifespan = None

    def _scope(self, request: Request, prefix: str) -> dict[str, Any]:
        raw_path, _, query = request.target.partition(b"?")
        path, _ = decode_path(request.target)
        secure = request.scheme in ("https", "wss")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": ASGI,
            "http_version": request.http_version,
            "method": request.method,
            "scheme": "https" if secure else "http",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": unquote(prefix),
            "headers": request.headers,
            "client": request.client,
            "server": _server(request.header(b"host"), secure),
            "state": self._state.copy(),
            "extensions": {},
        }
        if request.is_upgrade:
            del scope["method"]
            offered = [value for name, value in request.headers if name == b"sec-websocket-protocol"]
            scope["type"] = "websocket"
            scope["scheme"] = "wss" if secure else "ws"
            scope["subprotocols"] = [
                word
                for word in (part.strip() for part in b",".join(offered).decode("latin-1").split(","))
                if word
            ]
            scope["extensions"] = {"websocket.http.response": {}}
        return scope


class _Lifespan:
    """The lifespan protocol, from the server's side."""

    def __init__(self, app: ForeignApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._orders: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._order("startup")

    async def shutdown(self) -> None:
        if self._task is not None and not self._task.done():
            await self._order("shutdown")
            await self._task

    async def _order(self, what: str) -> None:
        self._orders.put_nowait({"type": f"lifespan.{what}"})
        answer = await self._answers.get()
        # None: the application ended without an answer. ASGI: then it has no lifespan, which is no failure.
        if answer is not None and answer["type"] == f"lifespan.{what}.failed":
            raise LongwaveError(
                f"the mounted application failed at {what}: {answer.get('message') or 'no reason given'}"
            )

    async def _run(self) -> None:
        started = False

        async def send(message: Message) -> None:
            nonlocal started
            if not message["type"].startswith("lifespan."):
                raise RuntimeError(f"{message['type']!r} is no message of the lifespan")
            started = started or message["type"] == "lifespan.startup.complete"
            self._answers.put_nowait(message)

        try:
            scope = {
                "type": "lifespan",
                "asgi": {"version": "3.0", "spec_version": "2.0"},
                "state": self._state,
            }
            await self._app(scope, self._orders.get, send)
        except Exception as error:
            if started:
                report("the lifespan of a mounted application", error)
        finally:
            self._answers.put_nowait(None)


def _server(host: bytes | None, secure: bool) -> tuple[str, int] | None:
    """Return what the client called us: the socket is not known here, and a proxy may stand before it."""
    if not host:
        return None
    name, colon, port = host.decode("latin-1").rpartition(":")
    if colon and port.isdigit() and not name.endswith(":"):
        return name.strip("[]"), int(port)
    return host.decode("latin-1").strip("[]"), 443 if secure else 80
