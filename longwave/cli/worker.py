"""The worker of `longwave dev`: serves at an inherited socket until its supervisor says stop, or is gone.

It loads its code first, and waits to be told to go on: the worker before it serves until then.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec import structs

from longwave.app.handlers import Middleware
from longwave.assemble import App
from longwave.cli.output import WorkerOutput
from longwave.cli.serve import load_app, options_of, route_lines
from longwave.config import Settings, load_settings
from longwave.contract import Application
from longwave.dev.failures import describe_failure
from longwave.dev.feed import Feed, News, decode_news, encode_news
from longwave.dev.front import ViteSource
from longwave.dev.hmr import ClientOptions, Hmr, HmrApplication, client_options, hmr_path
from longwave.dev.hosts import HostCheck
from longwave.dev.inject import ClientScript, PageFiles, Pages
from longwave.dev.proxy import DevProxy
from longwave.dev.sharing import share_with_localhost
from longwave.dev.swap import Swapper
from longwave.dev.watch import is_page_file
from longwave.inspector.access import LocalAccess, TokenAccess
from longwave.inspector.activity import Activity
from longwave.inspector.hint import hint_at_many_streams
from longwave.inspector.inspector import Inspector
from longwave.inspector.observed import Observed
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
        with closing(WorkerOutput(settings)) as worker.output:
            return worker.serve(settings, task)
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
        self.output: WorkerOutput | None = None
        self._swapper: Swapper | None = None
        self._root = Path()
        self._feed = Feed()
        self._hmr: Hmr | None = None
        self._hmr_server: Server | None = None

    def serve(self, settings: Settings, task: Mapping[str, Any]) -> int:
        """Load the application and serve it; raises what cannot be loaded or started."""
        app = load_app(settings)
        vite: int | None = task["vite"]
        activity = Activity()
        if settings.server.proxy:
            app.add_source(DevProxy(settings.server.proxy))
        if vite is not None:
            app.add_source(ViteSource(vite))
        problems = [describe_failure(problem.error, settings.root) for problem in app.problems]
        routes = [structs.asdict(line) for line in route_lines(app)]
        self._root = settings.root.resolve()
        feed = self._feed = Feed(problems)
        feed.subscribe(self._forward)
        client = self._guard(app, settings, task)
        hint_at_many_streams(activity)
        if settings.inspector.enabled:
            token = settings.inspector.token
            access = LocalAccess(None if token is None else TokenAccess(token))
            inspector = Inspector(app, activity, access, mode=settings.mode, root=self._root)
            feed.subscribe(lambda news: inspector.reloaded(encode_news(news)))
        self._control.send("loaded")
        self._go.wait()

        def on_ready(server: Server) -> None:
            app.server_stats = server.stats
            loop = asyncio.get_running_loop()
            # What the server keeps from the collector is code that will be exchanged.
            gc.unfreeze()
            self._swapper = Swapper(app, feed)
            if self.output is not None:
                self.output.follow(app, activity)
            self._serving = (loop, server)
            if self._hmr_server is not None:
                self._starting = loop.create_task(self._hmr_server.start())
            # After the server has set its own handlers.
            loop.call_soon(_leave_interrupts)
            self._control.send("ready", routes=routes, problems=[asdict(problem) for problem in problems])

        served: Application = Observed(app, activity)
        if client is not None:
            served = Pages(served, client)
        return run(served, options_of(settings, task["fd"]), on_ready)

    def _guard(self, app: App, settings: Settings, task: Mapping[str, Any]) -> ClientOptions | None:
        """Refuse who may not connect, and let pages hear of changes; return what their script is given."""
        fd, own_fd = task["fd"], task["hmr"]["fd"]
        page_port, own_port = port_of(fd), port_of(own_fd)
        server, hmr = settings.server, settings.server.hmr
        names = [server.host, *([hmr.host] if hmr.host else [])]
        check = HostCheck(server.allowed_hosts is True or [*names, *server.allowed_hosts])
        if page_port is not None:
            app.add_claim(check)
        app.add_layer(Middleware(share_with_localhost))
        if not hmr.enabled:
            return None
        path, token = hmr_path(hmr), task["hmr"]["token"]
        pages = Hmr(self._feed, settings.root, path, token, page_port=own_port and page_port)
        if own_fd is None:
            app.add_claim(pages.claim)
        else:
            served = HmrApplication(app, path, (check, pages.claim))
            self._hmr_server = Server(served, options_of(settings, own_fd))
        client = client_options(hmr, token, own_port=own_port, page_port=page_port)
        app.add_claim(ClientScript(client, settings.root))
        if not settings.frontend.vite.enabled:
            # A front end has files of its own, and its Vite tells of them.
            self._hmr = pages
            app.add_source(PageFiles(settings.root))
        return client

    def _forward(self, news: News) -> None:
        has_written = self.output is not None and self.output.was_used()
        self._control.send("news", news=encode_news(news), has_written=has_written)

    def told(self, message: Mapping[str, Any]) -> None:
        """Do what the supervisor says; stop at once where nothing is served yet."""
        kind = message["kind"]
        if kind == "stop":
            self._stop(message["code"])
        elif kind == "go":
            self._go.set()
        elif kind in ("changed", "news") and self._serving is not None:
            loop, _ = self._serving
            with suppress(RuntimeError):
                if kind == "news":
                    loop.call_soon_threadsafe(self._feed.tell, decode_news(message["news"]), self._forward)
                else:
                    loop.call_soon_threadsafe(self._change, {Path(file) for file in message["files"]})

    def _change(self, files: set[Path]) -> None:
        if self._swapper is None or self._stopping is not None:
            return
        pages = {path for path in files if is_page_file(path, self._root)}
        if pages and self._hmr is not None:
            self._hmr.changed(pages)
        if files != pages:
            self._swapper.change(files - pages)

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
            servers = [server] if self._hmr_server is None else [server, self._hmr_server]
            await asyncio.gather(*(each.stop(GRACE, code) for each in servers))
            # Ends `run`, which waits for it; there is nothing left to stop.
            os.kill(os.getpid(), signal.SIGTERM)

        if self._stopping is None:
            self._stopping = asyncio.create_task(stop())


def port_of(fd: int | None) -> int | None:
    """Return the port of a listening socket by its number.

    None for none, and for a Unix socket.
    """
    if fd is None:
        return None
    with socket.socket(fileno=os.dup(fd)) as sock:
        address = sock.getsockname()
    return int(address[1]) if isinstance(address, tuple) else None


def _leave_interrupts() -> None:
    """Leave Ctrl-C to the supervisor, which gets it too and says how to stop.

    It comes blocked: a worker that has not begun must not end with a traceback.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
