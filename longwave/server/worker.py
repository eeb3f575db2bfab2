"""A server in one process: it listens, serves, and stops in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from msgspec import Struct, field

from longwave.contract import Application
from longwave.limits import Limits, Timeouts
from longwave.server.drain import Guard, cut, drain
from longwave.server.http import HttpConnection
from longwave.server.listener import (
    AT_ONCE,
    Listener,
    inherited_socket,
    tcp_sockets,
    tls_context,
    unix_socket,
)
from longwave.server.state import ERRORS, Worker

__all__ = ["Server", "ServerOptions", "run"]

RESERVED = 100
"""File descriptors of a worker that are not for connections."""
BEYOND = 100
"""Connections that are accepted beyond the limit, to be told so."""
AFTER_CUT = 1.0
"""Seconds that the application's own end gets after it was cancelled."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
FOR_HOOKS = 0.2
"""Part of `timeouts.shutdown` that is kept for the application's own end."""


class ServerOptions(Struct, frozen=True):
    """Where to listen, and how.

    `uds` (a path), `fd` (an open socket) and `fds` (several) replace host and port. `shared` says that other
    processes accept at the same sockets.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    uds: str | None = None
    fd: int | None = None
    fds: tuple[int, ...] = ()
    shared: bool = False
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_keyfile_password: str | None = None
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    access_log: bool = False


class Server:
    """Serves one application in the running loop.

    The context of the task that calls `start` is the one that handlers begin with.
    """

    def __init__(
        self,
        application: Application,
        options: ServerOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.application = application
        self.options = options or ServerOptions()
        self._clock = clock
        self._worker: Worker | None = None
        self._listener: Listener | None = None
        self._ended: asyncio.Event | None = None
        self._ending: _Ending | None = None
        self._covered: dict[int, list[socket.socket]] = {}
        self._cut = False
        self._hooks: asyncio.Task[None] | None = None
        self._resuming: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as people write it; empty before `start` and after `stop`."""
        return [] if self._listener is None else self._listener.addresses

    @property
    def port(self) -> int:
        """The port of the first address; 0 if there is none."""
        addresses = [address for address in self.addresses if not address.startswith("unix:")]
        return int(addresses[0].rsplit(":", 1)[1]) if addresses else 0

    @property
    def is_serving(self) -> bool:
        """Whether it was started and not stopped."""
        return self._worker is not None and not self._worker.stopping

    def stats(self) -> dict[str, int]:
        """Return the counters; empty before `start`."""
        return {} if self._worker is None else self._worker.stats()

    async def start(self) -> None:
        """Bind, start the application, then accept.

        Raises `ConfigError` where it cannot listen, and whatever the application's `startup` raises.
        """
        options = self.options
        tls = None
        if options.ssl_certfile is not None:
            tls = tls_context(options.ssl_certfile, options.ssl_keyfile, options.ssl_keyfile_password)
        sockets = _bind(options)
        try:
            await self.application.startup()
        except BaseException:
            for bound in sockets:
                bound.close()
            raise
        await self._listen(sockets, tls)

    async def _listen(self, sockets: list[socket.socket], tls: ssl.SSLContext | None) -> None:
        options = self.options
        worker = self._worker = Worker(
            self.application,
            options.limits,
            options.timeouts,
            asyncio.get_running_loop(),
            clock=self._clock,
            access_log=options.access_log,
            secure=tls is not None,
        )
        if not options.limits.connections:
            worker.room = max(1, _file_limit() - RESERVED)
        worker.changed = self._count
        self._listener = Listener(
            sockets,
            lambda: HttpConnection(worker),
            tls=tls,
            handshake=options.timeouts.header,
            shutdown=options.timeouts.close,
            path=options.uds,
            room=lambda: self._most() - len(worker.connections),
            # Where others accept too, nobody shall take all that wait.
            at_once=1 if options.shared else AT_ONCE,
        )
        worker.start()
        await self._listener.start()

    async def stop(self, grace: float | None = None, code: int = 1001) -> None:
        """Stop in order within `grace` seconds (`timeouts.shutdown`), then cut.

        A second call cuts at once.

        Nothing is accepted any more, requests get their answers, WebSockets are closed with `code`, event
        streams end, the application's `shutdown` runs.
        """
        worker = self._worker
        if worker is None:
            return
        if worker.stopping:
            self.abort()
            if self._ended is not None:
                await self._ended.wait()
            return
        worker.stopping = True
        ended = self._ended = asyncio.Event()
        limit = self.options.timeouts.shutdown if grace is None else grace
        loop = asyncio.get_running_loop()
        until = loop.time() + limit
        if self._listener is not None:
            self._listener.pause()
        # What was accepted just now becomes a connection in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)
        if self._listener is not None:
            self._listener.close()
        try:
            await drain(worker, code, until - limit * FOR_HOOKS, lambda: self._cut)
            if worker.connections and not self._cut:
                worker.passed("timeouts.shutdown")
            await cut(worker)
            self._hooks = loop.create_task(self.application.shutdown())
            if self._cut:
                self._hooks.cancel()
            _, late = await asyncio.wait({self._hooks}, timeout=max(0.0, until - loop.time()))
            if late:
                worker.passed("timeouts.shutdown")
                self._hooks.cancel()
                _, late = await asyncio.wait(late, timeout=AFTER_CUT)
            if late or self._hooks.cancelled():
                ERRORS.warning("the application was cut before its shutdown was complete")
            elif (error := self._hooks.exception()) is not None:
                ERRORS.error("the application's shutdown failed", exc_info=error)
        finally:
            worker.stop()
            ended.set()

    def abort(self) -> None:
        """Cut everything at once."""
        self._cut = True
        worker = self._worker
        if worker is not None:
            worker.stopping = True
            for connection in list(worker.connections):
                connection.abort()
        if self._listener is not None:
            self._listener.close()
        if self._hooks is not None:
            self._hooks.cancel()

    async def cover(self, slots: Mapping[int, Iterable[int]]) -> None:
        """Accept at these sockets too, and no more at those of an earlier call.

        By their numbers: they are other workers', by slot, who cannot accept for now.
        """
        listener = self._listener
        if listener is None or not self.is_serving:
            return
        for slot in self._covered.keys() - slots.keys():
            listener.remove(self._covered.pop(slot))
        for slot, fds in slots.items():
            if slot not in self._covered:
                self._covered[slot] = [inherited_socket(os.dup(fd)) for fd in fds]
                await listener.add(self._covered[slot])

    def end(self, code: int = 1001) -> None:
        """Let `serve_until_signal` stop in order, from any thread.

        A second call changes nothing.
        """
        if self._ending is not None:
            self._ending.ask(code)

    def end_now(self) -> None:
        """Let `serve_until_signal` cut everything, from any thread."""
        if self._ending is not None:
            self._ending.cut()

    async def serve_until_signal(
        self,
        started: Callable[[], None] | None = None,
        guard: Guard | None = None,
        *,
        leaving: Callable[[], None] | None = None,
    ) -> None:
        """Serve until SIGTERM, SIGINT or `end`, then stop in order; a second signal cuts.

        `started` is called when connections are accepted. A signal before that ends the start. `guard` ends
        the process where this takes longer than it may. `leaving` is called when the end begins; who gives it
        is a supervisor's worker: SIGINT, which a terminal sends to all, and the cut are the supervisor's.
        """
        ending = self._ending = _Ending(self, guard, again_cuts=leaving is None)

        # Not the loop's own handlers: they are not called while something holds the loop.
        before = {number: signal.signal(number, ending.signalled) for number in SIGNALS}
        if leaving is not None:
            # Not ignored: the processes that the project's code starts would inherit that.
            signal.signal(signal.SIGINT, lambda *_: None)
        try:
            if not self.is_serving and not await self._start_unless(ending.asked):
                return
            if started is not None:
                started()
            await ending.asked.wait()
            if leaving is not None:
                leaving()
            await self.stop(code=ending.code)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _start_unless(self, asked: asyncio.Event) -> bool:
        """Start; where it is asked to stop before that is done, give it up and return False."""
        starting = asyncio.create_task(self.start())
        waiting = asyncio.create_task(asked.wait())
        try:
            await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting})
        if starting.cancelled():
            return False
        await starting
        return True

    def _count(self) -> None:
        """Stop accepting at the limit and what may be beyond it, and begin again below."""
        worker, listener = self._worker, self._listener
        if worker is None or listener is None or worker.stopping:
            return
        count = len(worker.connections)
        if count >= self._most():
            if not listener.is_paused:
                listener.pause()
        elif listener.is_paused and self._resuming is None:
            self._resuming = worker.loop.create_task(self._resume(listener))

    def _most(self) -> int:
        """Return how many connections there may be, with those that are only told that there is no room."""
        assert self._worker is not None
        return self._worker.room + (BEYOND if self.options.limits.connections else BEYOND // 2)

    async def _resume(self, listener: Listener) -> None:
        try:
            if listener.is_paused:
                await listener.start()
        finally:
            self._resuming = None


class _Ending:
    """What ends `serve_until_signal`; may be asked in signal handlers and on any thread."""

    def __init__(self, server: Server, guard: Guard | None, *, again_cuts: bool) -> None:
        self.asked = asyncio.Event()
        self.code = 1001
        self._server = server
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._again_cuts = again_cuts
        self._is_asked = False

    def ask(self, code: int = 1001) -> None:
        """Stop in order."""
        if not self._is_asked:
            self._is_asked, self.code = True, code
            self._within(self._server.options.timeouts.shutdown + 2 * AFTER_CUT, self.asked.set)

    def cut(self) -> None:
        """Stop at once."""
        self._is_asked = True
        self._within(AFTER_CUT, self._cut)

    def signalled(self, *_: object) -> None:
        """Stop in order at the first signal, at once at the second."""
        if self._is_asked and self._again_cuts:
            self.cut()
        else:
            self.ask()

    def _cut(self) -> None:
        self._server.abort()
        self.asked.set()

    def _within(self, seconds: float, callback: Callable[[], None]) -> None:
        if self._guard is not None:
            self._guard.set(seconds)
        # The loop may be closed already.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)


def run(
    application: Application,
    options: ServerOptions | None = None,
    on_ready: Callable[[Server], None] | None = None,
    *,
    leaving: Callable[[], None] | None = None,
) -> int:
    """Serve until a signal; return the exit code. Uses uvloop where it is installed.

    `on_ready(server)` is called on the loop once the server listens, in place of a line in the log. `leaving`
    is that of `Server.serve_until_signal`.
    """
    _raise_file_limit()

    server = Server(application, options)

    def started() -> None:
        # What exists now stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        if on_ready is None:
            logging.getLogger("longwave").info("listening on %s", ", ".join(server.addresses))
        else:
            on_ready(server)

    guard = Guard()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(server.serve_until_signal(started, guard, leaving=leaving))
            # The runner waits for threads and for what is left of tasks.
            guard.set(AFTER_CUT)
            for number in SIGNALS if leaving is None else ():
                signal.signal(number, lambda *_: guard.set(0.0))
    finally:
        guard.end()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform != "win32":
        with suppress(ImportError):
            import uvloop

            factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return factory
    return None


def _bind(options: ServerOptions) -> list[socket.socket]:
    if options.fds:
        return [inherited_socket(fd) for fd in options.fds]
    if options.fd is not None:
        return [inherited_socket(options.fd)]
    if options.uds is not None:
        return [unix_socket(options.uds)]
    return tcp_sockets(options.host, options.port, unacknowledged=options.timeouts.response)


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS refuses "unlimited".
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
