"""A worker of `longwave start --workers N`: serves at the sockets of its slot until its supervisor says stop.

It ends in order when the supervisor is gone, however it went.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import structs

from longwave.assemble import App
from longwave.backplane.workers import WorkersBackplane
from longwave.cli.logs import configure_logs
from longwave.cli.serve import load_app, options_of, route_lines
from longwave.config import load_settings
from longwave.server.control import WorkerEnd
from longwave.server.process import HELD
from longwave.server.worker import Server, run

__all__ = ["main"]

LATE = 5.0
"""Seconds beyond `timeouts.shutdown` after which a worker whose supervisor is gone ends, whatever it does."""


def main(task: Mapping[str, Any], line: int) -> int:
    """Serve one project; returns the exit code. `line` is the control socket."""
    for number in HELD:
        # Not ignored: the processes that the project's code starts would inherit that.
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
    control = WorkerEnd(line)
    worker = SlotWorker(control, task)
    control.listen(worker.told, worker.orphaned)
    try:
        code = worker.serve()
        if worker.is_orphan:
            # The last one out; nobody else does it.
            with suppress(OSError):
                os.rmdir(task["meeting"])
        return code
    except (Exception, SystemExit) as error:
        from longwave.dev.failures import describe_failure

        control.send("failed", text=str(describe_failure(error, Path(task["root"]))))
        return 1


class SlotWorker:
    """Serves one slot; what the supervisor says arrives in a thread of its own."""

    def __init__(self, control: WorkerEnd, task: Mapping[str, Any]) -> None:
        self._control = control
        self._task = task
        self._serving: tuple[asyncio.AbstractEventLoop, Server, App] | None = None
        self._patience = LATE
        self.is_orphan = False
        """Whether the supervisor is gone."""
        self._covering: set[asyncio.Task[None]] = set()

    def serve(self) -> int:
        """Load the settings and the application, and serve it.

        Raises what cannot be loaded or started.
        """
        task = self._task
        settings = load_settings(Path(task["root"]), command="start", **task["options"])
        self._patience += settings.timeouts.shutdown
        configure_logs(settings.log, f"worker {task['slot']}")
        app = load_app(settings, WorkersBackplane(Path(task["meeting"]), settings.limits.backplane))
        fds = task["slots"][task["slot"]]
        options = structs.replace(options_of(settings), uds=None, fd=None, fds=fds, shared=task["shared"])

        def on_ready(server: Server) -> None:
            app.server_stats = server.stats
            self._serving = (asyncio.get_running_loop(), server, app)
            self._control.send("ready", routes=[structs.asdict(line) for line in route_lines(app)])

        return run(app.served, options, on_ready, leaving=lambda: self._control.send("ending"))

    def told(self, message: Mapping[str, Any]) -> None:
        """Do what the supervisor says, which it says only to those that serve."""
        if self._serving is None:
            return
        loop, server, app = self._serving
        kind = message["kind"]
        if kind == "stop":
            server.end(message["code"])
        elif kind == "cut":
            server.end_now()
        elif kind == "cover":
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._cover, server, message["slots"])
        elif kind == "stats":
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell_stats, app)

    def orphaned(self) -> None:
        """End in order because the supervisor is gone.

        At once where nothing is served yet.
        """
        self.is_orphan = True
        if self._serving is not None:
            self._serving[1].end()
            threading.Event().wait(self._patience)
        os._exit(1)

    def _cover(self, server: Server, slots: list[int]) -> None:
        covering = asyncio.ensure_future(server.cover({slot: self._task["slots"][slot] for slot in slots}))
        self._covering.add(covering)
        covering.add_done_callback(self._covering.discard)

    def _tell_stats(self, app: App) -> None:
        # It may have stopped meanwhile.
        with suppress(RuntimeError):
            self._control.send("stats", stats=app.stats())
