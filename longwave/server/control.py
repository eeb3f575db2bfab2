"""The line between a supervisor and its worker: JSON, a line per message, over a socket pair."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["WorkerEnd"]


class WorkerEnd:
    """The worker's end.

    `listen` calls back from a thread of its own, so that it works while a handler holds the loop. The end of
    the line means that the supervisor is gone, however it went.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        # Processes that the project's code starts must not keep the line open.
        self._socket.set_inheritable(False)

    def send(self, kind: str, **message: Any) -> None:
        """Tell the supervisor; when it is gone nobody needs to know."""
        try:
            self._socket.sendall(json.dumps({"kind": kind, **message}).encode() + b"\n")
        except OSError:
            return

    def listen(self, told: Callable[[Mapping[str, Any]], None], gone: Callable[[], None]) -> None:
        """Begin to listen: `told` gets each message, `gone` is called at the end."""
        threading.Thread(target=self._listen, args=(told, gone), name="longwave-control", daemon=True).start()

    def _listen(self, told: Callable[[Mapping[str, Any]], None], gone: Callable[[], None]) -> None:
        try:
            with self._socket, self._socket.makefile("rb") as lines:
                for line in lines:
                    told(json.loads(line))
        except OSError:
            pass
        gone()
