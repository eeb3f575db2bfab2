"""Letters that are typed at `longwave dev`, each with Enter; whatever else reads the terminal comes first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Mapping

__all__ = ["Shortcuts"]

AGAIN = 0.5
"""Seconds after which a terminal that was not ours to read is looked at again."""
LONGEST = 1024


class Shortcuts:
    """Calls the action of a letter when it is typed, with Enter.

    The terminal stays as it is, so nothing has to be put back at the end. It is read only from the
    foreground, since the system stops who reads it from elsewhere, and not while a debugger in the worker
    reads single keys.
    """

    def __init__(self, actions: Mapping[str, Callable[[], object]], typed: Callable[[], None]) -> None:
        self._actions = actions
        self._typed = typed
        self._fd: int | None = None
        self._later: asyncio.TimerHandle | None = None

    @property
    def are_read(self) -> bool:
        """Whether somebody can type them now."""
        return self._fd is not None and _is_in_foreground(self._fd)

    def begin(self) -> None:
        """Begin to read, where the standard input is a terminal."""
        with contextlib.suppress(OSError, ValueError):
            if sys.stdin.isatty():
                # Opened anew: that nothing waits here must not hold for others who have the terminal.
                self._fd = os.open(os.ttyname(sys.stdin.fileno()), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
                self._listen()

    def end(self) -> None:
        """Read no more."""
        if self._later is not None:
            self._later.cancel()
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _listen(self) -> None:
        assert self._fd is not None
        self._later = None
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _leave(self) -> None:
        """Look away for a while: what is there to be read is not for us, and stays there."""
        assert self._fd is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        self._later = loop.call_later(AGAIN, self._listen)

    def _read(self) -> None:
        assert self._fd is not None
        try:
            if not _is_in_foreground(self._fd) or not _is_by_lines(self._fd):
                self._leave()
                return
            # Should the shell put us into the background just now, this is an error and no stop.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
            try:
                data = os.read(self._fd, LONGEST)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except BlockingIOError:
            return
        except (OSError, termios.error):
            data = b""
        if not data:
            # Ctrl-D, which means nothing here, or a terminal that is gone, for which there is SIGHUP.
            self._leave()
            return
        # What ends otherwise, by Ctrl-D, was not meant.
        for line in data.split(b"\n")[:-1]:
            self._take(line.decode(errors="replace").strip().lower())

    def _take(self, word: str) -> None:
        self._typed()
        if word in self._actions:
            self._actions[word]()


def _is_in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def _is_by_lines(fd: int) -> bool:
    """Whether the terminal hands out lines: a debugger, or any other editor of lines, wants each key."""
    return bool(termios.tcgetattr(fd)[3] & termios.ICANON)
