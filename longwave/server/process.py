"""A worker as its supervisor holds it: a process, the line to it, and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

__all__ = ["HELD", "Ended", "Heard", "Process", "Start", "WorkerProcess"]

HELD = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""Signals that are meant for the supervisor, and may reach its workers too: they begin with them blocked."""

Heard: TypeAlias = Callable[["Process", Mapping[str, Any]], None]
Ended: TypeAlias = Callable[["Process", int], None]


class Start(Struct, frozen=True):
    """What one start needs: `command` gets the number of the control socket appended.

    `fds` are handed down under their own numbers.
    """

    command: Sequence[str]
    fds: Iterable[int]
    environment: Mapping[str, str]


class Process(Protocol):
    """A running worker; `tell` and `signal` do nothing to one that is gone."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def tell(self, kind: str, **message: Any) -> None:
        """Send a message; never waits."""

    def signal(self, number: int) -> None:
        """Send a signal."""


class WorkerProcess:
    """A process of its own.

    `heard` is called on the loop with each message, then `ended` once, with the exit code.
    """

    def __init__(self, start: Start, heard: Heard, ended: Ended) -> None:
        self._heard = heard
        self._ended = ended
        self._held = b""
        self._loop = asyncio.get_running_loop()
        self._line, theirs = socket.socketpair()
        self._line.setblocking(False)
        with theirs:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
            try:
                self._process = subprocess.Popen(
                    [*start.command, str(theirs.fileno())],
                    pass_fds=[theirs.fileno(), *start.fds],
                    env=start.environment,
                )
            except BaseException:
                self._line.close()
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._loop.add_reader(self._line, self._read)
        # In a thread, so that the end is noticed at once and nothing is polled.
        threading.Thread(target=self._wait, name=f"longwave-wait-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, kind: str, **message: Any) -> None:
        """Send a message; one that is gone, or reads nothing, needs none."""
        with suppress(OSError):
            self._line.send(json.dumps({"kind": kind, **message}).encode() + b"\n")

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def _read(self) -> None:
        try:
            while data := self._line.recv(65536):
                *lines, self._held = (self._held + data).split(b"\n")
                for line in lines:
                    self._heard(self, json.loads(line))
        except BlockingIOError:
            return
        except OSError:
            pass
        self._loop.remove_reader(self._line)

    def _wait(self) -> None:
        code = self._process.wait()
        # Nobody hears it where the loop is closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._gone, code)

    def _gone(self, code: int) -> None:
        # Its last words come first.
        if self._line.fileno() >= 0:
            self._read()
            self._loop.remove_reader(self._line)
            self._line.close()
        self._ended(self, code)
