"""The worker of `longwave dev`: serves at an inherited socket until its supervisor says stop, or is gone.

It loads its code first, and waits to be told to go on: the worker before it serves until then.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec import structs

from longwave.cli.logs import configure_logs
from longwave.cli.serve import load_app, options_of, route_lines
from longwave.config import Settings, load_settings
from longwave.dev.failures import describe_failure
from longwave.dev.feed import Feed, encode_news
from longwave.dev.front import ViteSource
from longwave.dev.proxy import DevProxy
from longwave.dev.swap import Swapper
from longwave.server.control import WorkerEnd
from longwave.server.worker import Server, run

__all__ = ["main"]

GRACE = 0.5
"""Seconds for requests and hooks to finish; the supervisor kills a little later."""
ORPHAN_LIMIT = 2.0
"""Seconds after which a worker whose supervisor is gone ends, whatever its code does."""
GOING_AWAY = 1001
TAKEN = (errno.EADDRINUSE, errno.EWOULDBLOCK, errno.EACCES)
"""What code fails with that wants a port or a lock which the worker before has still."""


def main(task: Mapping[str, Any], line: int) -> int:
    """Serve one project; returns the exit code. `line` is the control socket."""
    control = WorkerEnd(line)
    worker = DevWorker(control)
    control.listen(worker.told, worker.orphaned)
    root = Path(task["root"])
    try:
        settings = load_settings(root, command="dev", **task["options"])
        configure_logs(settings.log)
        return worker.serve(settings, task["fd"], task.get("vite"))
    except (Exception, SystemExit) as error:
        is_taken = isinstance(error, OSError) and error.errno in TAKEN
        cause = error.__cause__
        is_taken = is_taken or (isinstance(cause, OSError) and cause.errno in TAKEN)
        control.send("failed", failure=asdict(describe_failure(error, root)), is_taken=is_taken)
        return 1


class DevWorker:
    """Serves until it is told to stop, from the thread that listens to the supervisor."""

    def __init__(self, control: WorkerEnd) -> None:
        self._control = control
        self._serving: tuple[asyncio.AbstractEventLoop, Server] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._go = threading.Event()
        self._swapper: Swapper | None = None

    def serve(self, settings: Settings, fd: int, vite: int | None = None) -> int:
        """Load the application and serve it; raises what cannot be loaded or started.

        `vite` is the port of the Vite that serves the front end.
        """
        app = load_app(settings)
        if settings.server.proxy:
            app.add_source(DevProxy(settings.server.proxy))
        if vite is not None:
            app.add_source(ViteSource(vite))
        problems = [describe_failure(problem.error, settings.root) for problem in app.problems]
        routes = [structs.asdict(line) for line in route_lines(app)]
        feed = Feed(problems)
        feed.subscribe(lambda news: self._control.send("news", news=encode_news(news)))
        self._control.send("loaded")
        self._go.wait()

        def on_ready(server: Server) -> None:
            app.server_stats = server.stats
            loop = asyncio.get_running_loop()
            # What the server keeps from the collector is code that will be exchanged.
            gc.unfreeze()
            self._swapper = Swapper(app, feed)
            self._serving = (loop, server)
            # After the server has set its own handlers.
            loop.call_soon(_leave_interrupts)
            self._control.send("ready", routes=routes, problems=[asdict(problem) for problem in problems])

        return run(app, options_of(settings, fd), on_ready)

    def told(self, message: Mapping[str, Any]) -> None:
        """Do what the supervisor says; stop at once where nothing is served yet."""
        kind = message["kind"]
        if kind == "stop":
            self._stop(message["code"])
        elif kind == "go":
            self._go.set()
        elif kind == "changed" and self._serving is not None:
            loop, _ = self._serving
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._change, [Path(file) for file in message["files"]])

    def _change(self, files: list[Path]) -> None:
        if self._swapper is not None and self._stopping is None:
            self._swapper.change(files)

    def orphaned(self) -> None:
        """Stop because the supervisor is gone, whatever the project's code is doing."""
        self._stop(GOING_AWAY)
        threading.Event().wait(ORPHAN_LIMIT)
        os._exit(1)

    def _stop(self, code: int) -> None:
        if self._serving is None:
            os._exit(1)
        loop, server = self._serving
        # The loop may be closed already.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._begin_stop, server, code)

    def _begin_stop(self, server: Server, code: int) -> None:
        async def stop() -> None:
            await server.stop(GRACE, code)
            # Ends `run`, which waits for it; there is nothing left to stop.
            os.kill(os.getpid(), signal.SIGTERM)

        if self._stopping is None:
            self._stopping = asyncio.create_task(stop())


def _leave_interrupts() -> None:
    """Leave Ctrl-C to the supervisor, which gets it too and says how to stop.

    It comes blocked: a worker that has not begun must not end with a traceback.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
