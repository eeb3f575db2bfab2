"""What of HMR outlives a worker: the token of the pages, and a listening socket of its own."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Any

from longwave.cli.listen import bind_hmr_socket
from longwave.config import Settings

__all__ = ["HmrListener"]


class HmrListener:
    """Keeps both for as long as the supervisor runs.

    An open page belongs to the next worker too.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self.sockets: list[socket.socket] = []
        self._notice = notice
        self._token = secrets.token_urlsafe(16)
        self._bound: tuple[Any, ...] | None = None

    def listen(self, settings: Settings) -> None:
        """Listen where the settings say; the socket stays while that stays the same."""
        hmr, server = settings.server.hmr, settings.server
        address = (hmr.enabled, hmr.port, server.host, server.port, server.strict_port)
        if address == self._bound:
            return
        self.close()
        sock = bind_hmr_socket(settings)
        self._bound = address
        if sock is not None:
            self.sockets = [sock]
            port = sock.getsockname()[1]
            if hmr.port and port != hmr.port:
                self._notice(f"HMR is at port {port}: {hmr.port} is taken")

    def close(self) -> None:
        """Give the socket up."""
        for sock in self.sockets:
            sock.close()
        self.sockets, self._bound = [], None

    def task(self) -> dict[str, Any]:
        """Return what a worker is given."""
        return {"token": self._token, "fd": self.sockets[0].fileno() if self.sockets else None}
