"""The end of a worker's connections, not all in one moment; and of its process, whatever does not end."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from longwave.server.state import ERRORS, Worker

__all__ = ["Guard", "cut", "drain"]

PER_SECOND = 1000
"""WebSockets and streams that are told each second: their clients come back, and one core does as many TLS
handshakes."""
SHARE = 0.25
"""Part of the time for the shutdown that this may take, however many there are."""
PAUSE = 0.02
"""Seconds between two parts of them, give or take half at random."""
LOOK = 0.02
"""Seconds between two looks at what is still there."""


async def drain(worker: Worker, code: int, until: float, is_cut: Callable[[], bool]) -> None:
    """Ask every connection to end, and wait until all have.

    No longer than until the time of the loop is `until`.

    What only waits for its next request ends at once. WebSockets and event streams are told in parts, in no
    order: their clients come back, and shall not all come in one moment. A request gets its answer first;
    where that is a WebSocket or a stream, it is told as soon as it is there.
    """
    import random  # a millisecond of each start, for its end

    loop = worker.loop
    lasting = []
    for connection in list(worker.connections):
        if connection.is_lasting:
            lasting.append(connection)
        else:
            connection.finish(code)
    random.shuffle(lasting)
    seconds = min(len(lasting) / PER_SECOND, SHARE * (until - loop.time()))
    size = math.ceil(len(lasting) / max(1, round(seconds / PAUSE)))
    for start in range(0, len(lasting), size or 1):
        if start:
            await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))
        if is_cut() or loop.time() >= until:
            return
        for connection in lasting[start : start + size]:
            connection.finish(code)
    while worker.connections and not is_cut() and loop.time() < until:
        for connection in list(worker.connections):
            if connection.is_lasting:
                connection.finish(code)
        await asyncio.sleep(LOOK)


async def cut(worker: Worker) -> None:
    """Cut what is left."""
    for connection in list(worker.connections):
        connection.abort()
    # Each hears that it is lost in the next turn of the loop, or in the one after it.
    for _ in range(10):
        if not worker.connections:
            break
        await asyncio.sleep(0)


class Guard:
    """Ends the process where something of the application does not end.

    A thread cannot be cut, nor a task that does not let itself be cancelled, nor code that holds the loop.
    """

    def __init__(self) -> None:
        # Its `put` may be called in a signal handler, whatever the thread was doing.
        self._waits: SimpleQueue[float | None] = SimpleQueue()
        threading.Thread(target=self._run, name="longwave-guard", daemon=True).start()

    def set(self, seconds: float) -> None:
        """End the process after so many seconds, in place of what was said before."""
        self._waits.put(seconds)

    def end(self) -> None:
        """Let the process live, for good."""
        self._waits.put(None)

    def _run(self) -> None:
        seconds = self._waits.get()
        with suppress(Empty):
            while seconds is not None:
                seconds = self._waits.get(timeout=seconds)
            return
        _leave()


def _leave() -> None:
    ERRORS.warning(
        "the process is ended by force: a thread, a task that does not let itself be cancelled, or code that "
        "holds the loop goes on after the shutdown"
    )
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)
