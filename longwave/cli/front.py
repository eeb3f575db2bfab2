"""The front end's own server beside `longwave dev`: started with it, ended with it, its end told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from longwave.cli.terminal import Terminal
from longwave.config import Settings
from longwave.config.settings import ViteSettings
from longwave.dev.vite import Vite, free_port, serve_command
from longwave.errors import ConfigError

__all__ = ["FrontEnd"]

T = TypeVar("T")


class FrontEnd:
    """Keeps a Vite running for as long as the development server is.

    One that never listens ends both.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._settings: ViteSettings | None = None
        self._vite: Vite | None = None
        self._running: asyncio.Task[None] | None = None
        self._old: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[ConfigError] | None = None

    def port(self, settings: Settings) -> int | None:
        """Return the port of the Vite of these settings; start it where it does not run.

        None where there is none. Raises `ConfigError` where it cannot be started.
        """
        vite = settings.frontend.vite
        if self._settings != vite or self._running is None or self._running.done():
            self._leave()
            if vite.enabled:
                port = free_port()
                command = serve_command(vite, port, settings.mode, settings.log.level)
                self._vite = Vite(command, vite.root, port, lambda line: self._terminal.output("vite", line))
                self._running = asyncio.create_task(self._run(self._vite))
            self._settings = vite
        return self._vite.port if self._vite is not None else None

    async def beside(self, serving: Coroutine[Any, Any, T]) -> T:
        """Run the development server; raises `ConfigError` when Vite could not be started."""
        self._failed = asyncio.get_running_loop().create_future()
        server = asyncio.ensure_future(serving)
        first: list[asyncio.Future[Any]] = [server, self._failed]
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not server.done():
                raise self._failed.result()
            return await server
        finally:
            server.cancel()
            self._leave()
            await asyncio.wait({server, *self._old})

    async def _run(self, vite: Vite) -> None:
        code = await vite.run()
        if vite.ready.is_set():
            self._terminal.error(
                f"Vite ended with exit code {code}.\n  The front end is not served until a file changes."
            )
        elif self._failed is not None and not self._failed.done():
            lines = "\n".join(f"  {line}" for line in vite.last)
            self._failed.set_result(ConfigError(f"Vite did not start (exit code {code})\n{lines}".rstrip()))

    def _leave(self) -> None:
        """Let the Vite that runs come to its end; `beside` waits for that."""
        task, self._running, self._vite = self._running, None, None
        if task is not None:
            task.cancel()
            self._old.add(task)
            task.add_done_callback(self._old.discard)
