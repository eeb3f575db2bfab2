"""The worker of `longwave dev`: serves at an inherited socket until its supervisor says stop, or is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longwave.cli.logs import configure_logs
from longwave.cli.serve import load_app, options_of, route_lines
from longwave.config import Settings, load_settings
from longwave.dev.control import WorkerEnd
from longwave.dev.failures import describe_failure
from longwave.dev.front import ViteSource
from longwave.dev.proxy import DevProxy
from longwave.server.worker import Server, run

__all__ = ["main"]

GRACE = 0.5
"""Seconds for requests and hooks to finish; the supervisor kills a little later."""
ORPHAN_LIMIT = 2.0
"""Seconds after which a worker whose supervisor is gone ends, whatever its code does."""
GOING_AWAY = 1001


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
        control.send("failed", failure=asdict(describe_failure(error, root)))
        return 1


class DevWorker:
    """Serves until it is told to stop, from the thread that listens to the supervisor."""

    def __init__(self, control: WorkerEnd) -> None:
        self._control = control
        self._serving: tuple[asyncio.AbstractEventLoop, Server] | None = None
        self._stopping: asyncio.Task[None] | None = None

    def serve(self, settings: Settings, fd: int, vite: int | None = None) -> int:
        """Load the application and serve it; raises what cannot be loaded or started.

        `vite` is the port of the Vite that serves the front end.
        """
        app = load_app(settings)
        if settings.server.proxy:
            app.add_source(DevProxy(settings.server.proxy))
        if vite is not None:
            app.add_source(ViteSource(vite))
        problems = [asdict(describe_failure(problem.error, settings.root)) for problem in app.problems]
        routes = [asdict(line) for line in route_lines(app)]

        def on_ready(server: Server) -> None:
            app.server_stats = server.stats
            loop = asyncio.get_running_loop()
            self._serving = (loop, server)
            # After the server has set its own handlers.
            loop.call_soon(_leave_interrupts)
            self._control.send("ready", routes=routes, problems=problems)

        return run(app, options_of(settings, fd), on_ready)

    def told(self, message: Mapping[str, Any]) -> None:
        """Stop as the supervisor says; at once where nothing is served yet."""
        if message["kind"] == "stop":
            self._stop(message["code"])

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
