"""A program at a terminal of its own: what it shows, and what is typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

__all__ = ["Terminal"]


class Terminal:
    """Starts a command as the foreground of a new pseudo terminal, with colours and nobody's settings.

    `text` is all that it has shown. At the end what still runs is killed.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, *, columns: int = 100
    ) -> None:
        self.text = ""
        self._code: int | None = None
        clean = {
            name: value
            for name, value in os.environ.items()
            if name not in ("CI", "HOST", "NO_COLOR", "FORCE_COLOR", "PORT")
            and not name.startswith("LONGWAVE_")
        }
        environment = {**clean, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1", **(env or {})}
        # The window has its size before anybody asks for it, so that nothing depends on who is first.
        self._screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        # A program of its own takes the terminal: a fork of this one would run code of this process.
        boot = (
            "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "os.execvp(sys.argv[1], sys.argv[1:])"
        )
        files = [(os.POSIX_SPAWN_DUP2, terminal, number) for number in range(3)]
        self.pid = os.posix_spawn(
            sys.executable, [sys.executable, "-c", boot, *command], environment, file_actions=files
        )
        os.close(terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._screen)
        if error is not None:
            print(self.text)

    @property
    def plain(self) -> str:
        """What was shown, without colours and moves of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text).replace("\r", "")

    def shows(self, pattern: str, within: float = 15.0) -> re.Match[str]:
        """Wait until the text without colours matches; returns the last match."""
        return self._wait(pattern, lambda: self.plain, within)

    def writes(self, pattern: str, within: float = 15.0) -> re.Match[str]:
        """Wait until the text with its colours matches; returns the last match."""
        return self._wait(pattern, lambda: self.text, within)

    def type(self, text: str) -> None:
        """Type at its keyboard."""
        os.write(self._screen, text.encode())

    def modes(self) -> list[object]:
        """Return the settings of the terminal."""
        return termios.tcgetattr(self._screen)

    def end(self, within: float = 15.0) -> int:
        """Wait for the end of the command; returns its exit code."""
        deadline = time.monotonic() + within
        while self._code is None:
            self._take(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            assert self._code is not None or time.monotonic() < deadline, f"still there:\n{self.plain}"
        while self._take(0.0):
            pass
        return self._code

    def _wait(self, pattern: str, read: Callable[[], str], within: float) -> re.Match[str]:
        deadline = time.monotonic() + within
        while not (found := list(re.finditer(pattern, read()))):
            assert time.monotonic() < deadline, f"{pattern!r} was not shown:\n{self.plain}"
            self._take(0.1)
        return found[-1]

    def _take(self, seconds: float) -> bool:
        """Read what there is, or comes in time; returns whether there was anything."""
        if not select.select([self._screen], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._screen, 65536)
        except OSError:
            return False  # nobody has the other end any more
        self.text += data.decode(errors="replace")
        return bool(data)
