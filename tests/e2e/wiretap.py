"""A TCP relay in front of a server, which tells what was asked for and what is still open."""

from __future__ import annotations

import asyncio
import re
import threading
from types import TracebackType
from typing import Self

__all__ = ["Wiretap"]

REQUEST_LINE = re.compile(rb"[A-Z]+ (/[^ ?]*)[^ ]* HTTP/1\.[01]\r\n")


class Wiretap:
    """Relays `port` to the server at `target`, in a thread of its own; use it as a context manager.

    A browser that is sent here shows on the wire what it does: `opened(path)` counts the requests for a
    path, `open_now(path)` those whose connection is still there and has asked for nothing else since, which
    for an endless response is the number of streams. `cut()` breaks every connection at once.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._paths: list[str] = []
        self._current: dict[asyncio.StreamWriter, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wiretap")
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The address of `/` through the relay, with its slash."""
        return f"http://127.0.0.1:{self.port}/"

    def opened(self, path: str) -> int:
        """Return how many requests for the path came by so far."""
        return self._paths.count(path)

    def open_now(self, path: str) -> int:
        """Return how many connections are open whose last request was for the path."""
        return list(self._current.values()).count(path)

    def cut(self) -> None:
        """Break every connection, as a network that goes away does."""
        self._loop.call_soon_threadsafe(self._cut)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=2)

    def _cut(self) -> None:
        for writer in list(self._current):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._current[writer] = ""
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            del self._current[writer]
            return
        ways = [
            asyncio.create_task(self._pump(reader, forth, writer)),
            asyncio.create_task(self._pump(back, writer, None)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        writer.transport.abort()
        forth.transport.abort()
        await asyncio.wait(ways)
        del self._current[writer]

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asking: asyncio.StreamWriter | None
    ) -> None:
        try:
            while data := await reader.read(65536):
                if asking is not None and (line := REQUEST_LINE.match(data)):
                    path = line.group(1).decode()
                    self._paths.append(path)
                    self._current[asking] = path
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
