"""Holds the listening socket, runs the worker beside it, tells it of changes, and replaces it when it must.

Most changes are swapped by the worker itself. What needs a new process gets one, which loads the code while
the old one still serves; code that cannot be loaded leaves the old worker where it is. The socket stays open
all the time: a request that comes between two workers waits in the kernel's queue, and the next answers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from longwave.dev.failures import Failure, describe_failure
from longwave.dev.feed import Failed, News, Page, Restart, Swapped, decode_news, encode_news, file_names
from longwave.dev.watch import Watcher, is_page_file
from longwave.errors import LongwaveError

__all__ = ["Display", "Start", "Supervisor"]

STOP_LIMIT = 0.7
"""Seconds that a worker has to end: Ctrl-C is done within one."""
GOING_AWAY = 1001
SERVICE_RESTART = 1012
"""Close codes for WebSockets, of RFC 6455 and of its registry."""


@dataclass(frozen=True, slots=True)
class Start:
    """What one start needs: `command` gets the number of the control socket appended.

    `sockets` are handed down under their own numbers, and stay open here.
    """

    command: Sequence[str]
    sockets: Sequence[socket.socket]


class Display(Protocol):
    """What a supervisor tells the person at the terminal."""

    def ready(self, message: Mapping[str, Any], seconds: float, changed: Sequence[str], why: str) -> None:
        """A worker serves; `changed` is empty the first time.

        `why` says why a change took a new worker, where it is not plain from the file.
        """

    def swapped(self, news: Swapped) -> None:
        """The worker swapped code under its open sockets."""

    def page(self, news: Page) -> None:
        """Files that pages are made of changed."""

    def failed(self, failure: Failure, changed: Sequence[str], serving: bool) -> None:
        """What there is now cannot be loaded.

        `serving` says that the code from before goes on.
        """

    def died(self, code: int) -> None:
        """A worker ended by itself; the next change starts another."""

    def notice(self, text: str) -> None:
        """Something worth a line."""

    def interrupted(self) -> None:
        """The worker wrote to the terminal itself."""


class Supervisor:
    """Runs one worker at a time until it is told to stop.

    `prepare` is called before each start, since a change may have been one of the configuration; it raises
    `LongwaveError` when there is nothing to start. `is_setting` tells of a file whether it is one of those
    that `prepare` reads. `files` outside the root are watched as well.
    """

    def __init__(
        self,
        root: Path,
        prepare: Callable[[], Start],
        display: Display,
        files: Iterable[Path] = (),
        is_setting: Callable[[Path], bool] = lambda path: False,
    ) -> None:
        self._root = root
        self._prepare = prepare
        self._display = display
        self._files = frozenset(path.resolve() for path in files)
        self._is_setting = is_setting
        self._events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._worker: Worker | None = None
        self._next: Worker | None = None
        self._is_stale = False
        self._changed: set[Path] = set()
        self._pages: set[Path] = set()
        self._began = 0.0
        self._why = ""

    async def run(self) -> int:
        """Serve until SIGINT, SIGTERM or SIGHUP; returns the exit code, 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._events.put_nowait, ("stop", None))
        watcher = Watcher(self._root, self._notice_change, extra=self._files, notice=self._display.notice)
        watching = asyncio.create_task(watcher.run())
        watching.add_done_callback(self._watching_ended)
        begun = asyncio.create_task(watcher.begun.wait())
        try:
            # The worker begins first, since that takes longer; what it says is heard when nothing is missed.
            await self._replace()
            await asyncio.wait({watching, begun}, return_when=asyncio.FIRST_COMPLETED)
            await self._serve()
        finally:
            begun.cancel()
            watching.cancel()
            await asyncio.gather(self._drop_next(), self._stop(GOING_AWAY))
            await asyncio.wait({watching})
        return 0

    def restart(self) -> None:
        """Replace the worker, whatever changed or not."""
        self._events.put_nowait(("restart", None))

    def stop(self) -> None:
        """End as a signal does."""
        self._events.put_nowait(("stop", None))

    async def _serve(self) -> None:
        while True:
            event, value = await self._events.get()
            if event == "stop":
                return
            if event == "change":
                await self._change({*value, *self._more_changes()})
            elif event == "restart":
                await self._replace()
            elif event == "failed":
                await self._fail(value)
            elif value[0] not in (self._worker, self._next):
                continue  # an older worker's last words
            elif event == "message":
                await self._take(*value)
            elif event == "exit":
                self._ended(*value)

    async def _change(self, files: set[Path]) -> None:
        """Let the worker swap what changed, or replace it."""
        root = self._root.resolve()
        code = {path for path in files if not is_page_file(path, root)}
        settings = {path for path in code if path in self._files or self._is_setting(path)}
        worker = self._worker if self._worker is not None and self._worker.is_ready else None
        if settings:
            files -= code
        if worker is None:
            # Pages may be there a moment before we hear that they can.
            self._pages |= files - code
        else:
            await worker.tell_changed(files)
        if not code:
            return
        if worker is None or settings or self._is_stale or self._next is not None:
            # What a worker that could not be loaded would have imported, only the next one can know.
            if worker is not None and settings:
                names = file_names(settings, root)
                await self._tell_news(worker, Restart(names, f"{', '.join(names)} is read at the start"))
            self._changed |= code
            await self._replace()

    async def _replace(self) -> None:
        """Start a worker, which takes over from the one that serves when it has loaded its code."""
        await self._drop_next()
        if self._worker is not None and not self._worker.is_ready:
            await self._stop(SERVICE_RESTART)
        self._began = time.perf_counter()
        try:
            start = self._prepare()
        except LongwaveError as error:
            # Told later: whoever reads it may mend it, and no change is missed from then on.
            self._events.put_nowait(("failed", describe_failure(error, self._root)))
        else:
            self._next = Worker(start, self._events)

    async def _take(self, worker: Worker, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        if kind == "loaded":
            await self._stop(SERVICE_RESTART)
            self._worker, self._next = worker, None
            await worker.tell("go")
        elif kind == "ready":
            worker.is_ready, self._is_stale = True, False
            await worker.tell_changed(self._pages)
            self._pages = set()
            self._display.ready(message, time.perf_counter() - self._began, self._names(), self._why)
            self._changed, self._why = set(), ""
        elif kind == "failed":
            worker.failed = True
            if message["is_taken"] and worker is self._next and self._worker is not None:
                # Its code wants what the one that serves still has: a port of its own, a lock.
                await self._stop(SERVICE_RESTART)
                await self._replace()
            else:
                await self._fail(Failure(**message["failure"]))
        elif kind == "news":
            if message.get("has_written"):
                self._display.interrupted()
            await self._hear(decode_news(message["news"]))

    async def _hear(self, news: News) -> None:
        if isinstance(news, Swapped):
            self._display.swapped(news)
        elif isinstance(news, Failed):
            self._display.failed(news.failure, news.files, True)
        elif isinstance(news, Page):
            self._display.page(news)
        elif self._next is None:
            self._changed.update(self._root.resolve() / name for name in news.files)
            self._why = news.why
            await self._replace()

    async def _fail(self, failure: Failure) -> None:
        worker = self._worker if self._worker is not None and not self._worker.failed else None
        self._is_stale = True
        if worker is not None:
            await self._tell_news(worker, Failed(self._names(), failure, is_next=True))
        self._display.failed(failure, self._names(), worker is not None)

    async def _tell_news(self, worker: Worker, news: News) -> None:
        """Let those who listen to the worker know what it does not see itself."""
        await worker.tell("news", news=encode_news(news))

    def _ended(self, worker: Worker, code: int) -> None:
        if worker is self._next:
            self._next = None
        else:
            self._worker = None
        if not worker.failed:
            self._display.died(code)

    async def _drop_next(self) -> None:
        """End a worker that was to take over: it has not served anybody."""
        worker, self._next = self._next, None
        if worker is not None:
            await worker.stop(GOING_AWAY)

    async def _stop(self, code: int) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop(code)

    def _watching_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._display.notice(f"Changes are no longer noticed: {error!r}")

    def _notice_change(self, files: frozenset[Path]) -> None:
        self._events.put_nowait(("change", files))

    def _more_changes(self) -> set[Path]:
        """Take what else changed meanwhile out of the queue; everything else stays."""
        others, files = [], set()
        while not self._events.empty():
            event, value = self._events.get_nowait()
            if event == "change":
                files |= value
            else:
                others.append((event, value))
        for other in others:
            self._events.put_nowait(other)
        return files

    def _names(self) -> tuple[str, ...]:
        return file_names(self._changed, self._root.resolve())


class Worker:
    """One worker process and the line to it; news goes into the supervisor's queue."""

    def __init__(self, start: Start, events: asyncio.Queue[tuple[str, Any]]) -> None:
        self.failed = False
        self.is_ready = False
        self._events = events
        self._line, theirs = socket.socketpair()
        with theirs:
            command = [*start.command, str(theirs.fileno())]
            inherited = [theirs.fileno(), *(sock.fileno() for sock in start.sockets)]
            # Ctrl-C reaches the worker too; it takes it only when it can do so without a traceback.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._process = subprocess.Popen(command, pass_fds=inherited)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._line.setblocking(False)
        self._listening = asyncio.create_task(self._listen())
        self._waiting = asyncio.create_task(self._wait())

    async def tell(self, kind: str, **message: Any) -> None:
        """Send a message; one that is gone needs none."""
        line = json.dumps({"kind": kind, **message}).encode() + b"\n"
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._line, line)

    async def tell_changed(self, files: Iterable[Path]) -> None:
        """Tell which files changed, if any did."""
        if names := [str(path) for path in files]:
            await self.tell("changed", files=names)

    async def stop(self, code: int) -> None:
        """End the process: in order within a limit, then at once."""
        await self.tell("stop", code=code)
        await asyncio.wait([self._waiting], timeout=STOP_LIMIT)
        if self._process.returncode is None:
            self._process.kill()
        await self._waiting

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        held = b""
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._line, 65536):
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    self._events.put_nowait(("message", (self, json.loads(line))))

    async def _wait(self) -> None:
        # In a thread, so that the end is noticed at once and nothing is polled.
        code = await asyncio.get_running_loop().run_in_executor(None, self._process.wait)
        # Its last words come first; a process that it left behind may keep the line open.
        await asyncio.wait([self._listening], timeout=0.1)
        self._listening.cancel()
        await asyncio.wait([self._listening])
        self._line.close()
        self._events.put_nowait(("exit", (self, code)))
