"""What a proxy stands between, on real sockets: our server before it, scripted upstreams behind it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from longwave import create_app
from longwave.app.app import Source
from longwave.assemble import App
from longwave.server.worker import Server, ServerOptions

__all__ = ["Conversation", "Running", "ask", "on_sockets", "scripted", "serving", "until"]

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def on_sockets(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as a test, within a time limit."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(20):
                await test(*arguments, **named)

        asyncio.run(limited())

    return run


class Running:
    """Our server in this process, and its app."""

    def __init__(self, app: App, server: Server) -> None:
        self.app = app
        self.port: int = server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def serving(
    routes: dict[str, Any], *, sources: tuple[Source, ...] = (), **config: Any
) -> AsyncIterator[Running]:
    """Serve a table of routes, and sources beside it."""
    app = create_app(routes=routes, **config)
    for source in sources:
        app.add_source(source)
    options = ServerOptions(port=0, limits=app.limits, timeouts=app.timeouts)
    server = Server(app, options)
    await server.start()
    try:
        yield Running(app, server)
    finally:
        await server.stop(1)


class Conversation:
    """One connection to a server, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read a response head: its status, its fields."""
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw.strip().split("\r\n")
        return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    async def rest(self) -> bytes:
        """Read to the end of the connection."""
        return await self.reader.read()


@contextlib.asynccontextmanager
async def ask(port: int, request: bytes) -> AsyncIterator[Conversation]:
    """Open a connection and send a request on it; the fields after its first line may be left out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    talk = Conversation(reader, writer)
    try:
        await talk.say(request)
        yield talk
    finally:
        writer.transport.abort()


class Scripted:
    """An upstream that does what a script says with each connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[str] = []
        self.lost = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def scripted(script: Script | bytes) -> AsyncIterator[Scripted]:
    """Listen as an upstream; bytes are an answer to whatever is asked. `lost` is set when a client goes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
            upstream.heads.append(raw.decode("latin-1"))
            if isinstance(script, bytes):
                writer.write(script)
                await writer.drain()
            else:
                await script(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            upstream.lost.set()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    upstream = Scripted(server.sockets[0].getsockname()[1])
    try:
        yield upstream
    finally:
        server.close()


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)
