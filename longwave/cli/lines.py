"""Writes lines to the terminal from a thread of its own, so many a second: whoever serves never waits for it.

A terminal that is slow, or held with Ctrl-S, or a pipe that nobody reads, holds up whoever writes to it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from longwave.cli.terminal import Part, count

__all__ = ["Flood", "Lines", "Written"]

WAITING = 1000
"""Lines that wait for a terminal which is held up."""
LAST_WORDS = 0.3
"""Seconds that the end waits for what is still to be written."""


class Flood:
    """Lets so many of a kind through in a second, and counts the others.

    It is told the time.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._until = 0.0
        self._seen: Counter[str] = Counter()
        self._left: Counter[str] = Counter()

    def lets(self, noun: str, now: float) -> bool:
        """Whether this one may pass; else it is counted."""
        if now >= self._until and not self._left:
            self._until = now + 1.0
            self._seen.clear()
        self._seen[noun] += 1
        if self._seen[noun] > self._per_second:
            self._left[noun] += 1
        return self._seen[noun] <= self._per_second

    def leave(self, noun: str) -> None:
        """Count one more that could not pass."""
        self._left[noun] += 1

    def rest(self, now: float) -> float | None:
        """Return the seconds until there is something to tell; None for never."""
        return max(0.0, self._until - now) if self._left else None

    def told(self, now: float) -> str:
        """Return what was left out in the second that is over, once; else nothing."""
        if not self._left or now < self._until:
            return ""
        left = [count(number, f"more {noun}") for noun, number in self._left.items()]
        self._left.clear()
        return f"... and {', '.join(left)} in this second"


class Lines:
    """Writes lines in their order; `show` writes them. Used from any thread.

    Of each kind `per_second` are written in a second, and one line that counts the others.
    """

    def __init__(
        self,
        show: Callable[[Sequence[Sequence[Part]], bool], None],
        *,
        per_second: int = 40,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._clock = clock
        self._flood = Flood(per_second)
        self._lock = threading.RLock()
        self._queue: queue.Queue[tuple[Sequence[Sequence[Part]], bool] | None] = queue.Queue(WAITING)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="longwave-lines", daemon=True)
        self._thread.start()

    def lets(self, noun: str) -> bool:
        """Whether one more line of a kind may be written now; else it is counted."""
        if os.getpid() != self._process:
            return True
        with self._lock:
            self._sum_up()
            counts = self._flood.rest(0.0) is not None
            lets = self._flood.lets(noun, self._clock())
        if not lets and not counts:
            self._put((), False)  # it has to wake up in time to say how many
        return lets

    def write(self, *lines: Sequence[Part], is_error: bool = False) -> None:
        """Write lines, which stay together, at the next moment; `is_error` on stderr."""
        if os.getpid() != self._process:
            # A fork has no such thread, and a lock that may be held for ever.
            self._show(lines, is_error)
        else:
            self._put(lines, is_error)

    def close(self) -> None:
        """Write what waits; do not wait for ever."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(LAST_WORDS)

    def _put(self, lines: Sequence[Sequence[Part]], is_error: bool) -> None:
        try:
            self._queue.put_nowait((lines, is_error))
        except queue.Full:
            with self._lock:
                if lines:
                    self._flood.leave("line")

    def _sum_up(self) -> None:
        """Say what was left out in a second that is over; what comes now comes after that."""
        if not self._queue.full() and (text := self._flood.told(self._clock())):
            self._put([[("  " + text, "dim")]], False)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._sum_up()
                rest = self._flood.rest(self._clock())
            try:
                item = self._queue.get(timeout=rest)
            except queue.Empty:
                continue
            if item is None:
                return
            # Whoever closes the terminal has no need of lines.
            with contextlib.suppress(OSError, ValueError):
                if item[0]:
                    self._show(*item)


class Written:
    """Whether this process wrote to the terminal since it was last asked.

    Also by a `print` of the project.
    """

    def __init__(self, streams: Iterable[TextIO]) -> None:
        self._is_written = False
        for stream in streams:
            self._watch(stream)

    def mark(self) -> None:
        """Take note that something will be written."""
        self._is_written = True

    def take(self) -> bool:
        """Return whether something was written, and forget it."""
        is_written, self._is_written = self._is_written, False
        return is_written

    def _watch(self, stream: Any) -> None:
        write = stream.write

        def noted(text: str) -> Any:
            self._is_written = True
            return write(text)

        stream.write = noted
