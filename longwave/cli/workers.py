"""`longwave start` with more than one worker: what the supervisor needs of the settings and the terminal."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from longwave.backplane.siblings import NOT_SHARED, Claim
from longwave.cli.listen import bind_slots, close_socket, local_urls, network_urls
from longwave.cli.logs import configure_logs
from longwave.cli.terminal import RouteLine, Terminal, open_browser
from longwave.config import Settings
from longwave.server.process import Ended, Heard, Process, Start, WorkerProcess
from longwave.server.supervisor import Supervisor, Timer

__all__ = ["run_workers"]

# A worker finds its modules where the supervisor found them, whatever the interpreter would add.
BOOT = (
    "import json, sys; task = json.loads(sys.argv[1]); sys.path[:] = task.pop('path'); "
    "from longwave.cli.serve_worker import main; raise SystemExit(main(task, int(sys.argv[2])))"
)


def run_workers(
    settings: Settings, count: int, config: Path | None, mode: str | None, overrides: Mapping[str, Any]
) -> int:
    """Serve a project in several processes until a signal; returns the exit code.

    Each worker reads the settings itself: one that replaces another on SIGHUP has those of that time. What
    says where to listen and how many there are is of the start.
    """
    began = time.perf_counter()
    configure_logs(settings.log, "supervisor")
    slots = bind_slots(settings, count)
    with ExitStack() as stack:
        claim = Claim(settings.root)
        stack.callback(claim.release)
        if not claim.take():
            logging.getLogger("longwave.error").warning(NOT_SHARED, settings.root)
        for sock in {sock for sockets in slots for sock in sockets}:
            stack.callback(close_socket, settings, sock)
        task = {
            "path": sys.path,
            "root": str(settings.root),
            "options": {
                "mode": mode,
                "config_file": None if config is None else str(config.absolute()),
                "overrides": overrides,
            },
            "slots": [[sock.fileno() for sock in sockets] for sockets in slots],
            "shared": slots[0] is slots[1],
            "meeting": str(stack.enter_context(meeting_place())),
        }
        screen = Screen(settings, slots[0][0], count, began)
        return asyncio.run(_supervise(task, settings, screen))


async def _supervise(task: Mapping[str, Any], settings: Settings, screen: Screen) -> int:
    slots = task["slots"]

    def spawn(slot: int, heard: Heard, ended: Ended) -> Process:
        command = [sys.executable, "-c", BOOT, json.dumps({**task, "slot": slot})]
        fds = {fd for fds in slots for fd in fds}
        return WorkerProcess(Start(command, fds, {**os.environ, "LONGWAVE_WORKER": str(slot)}), heard, ended)

    supervisor = Supervisor(
        len(slots),
        spawn,
        screen,
        clock=LoopClock(),
        shutdown=settings.timeouts.shutdown,
        covers=not task["shared"],
    )
    return await supervisor.run()


class LoopClock:
    """The clock of the running loop."""

    def now(self) -> float:
        """Return the time of the loop in seconds."""
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call back from the loop."""
        return asyncio.get_running_loop().call_later(seconds, callback, *arguments)


class Screen:
    """Shows the banner once, and what keeps the server from starting."""

    def __init__(self, settings: Settings, sock: socket.socket, count: int, began: float) -> None:
        self._settings = settings
        self._address = sock.getsockname()
        self._count = count
        self._began = began
        self._terminal = Terminal(settings.log.level)

    def ready(self, message: Mapping[str, Any]) -> None:
        """Show the banner."""
        settings = self._settings
        if isinstance(self._address, tuple):
            port = self._address[1]
            local, network = local_urls(settings, port), network_urls(settings, port)
        else:
            local, network = [f"unix:{self._address}"], []
        self._terminal.banner(
            time.perf_counter() - self._began,
            local=local,
            network=network,
            routes=[RouteLine(**route) for route in message["routes"]],
            hidden=settings.hidden(),
            workers=self._count,
        )
        if settings.server.open and isinstance(self._address, tuple):
            open_browser(local[0], settings.server.open)

    def failed(self, text: str) -> None:
        """Show why no worker could be started."""
        self._terminal.error(text)


@contextmanager
def meeting_place() -> Iterator[Path]:
    """Make a folder of our own where the workers find each other, for a while."""
    folder = Path(tempfile.mkdtemp(prefix="longwave-"))
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # systemd's cleaner of /tmp leaves alone what is locked.
        fcntl.flock(held, fcntl.LOCK_SH)
        yield folder
    finally:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)
