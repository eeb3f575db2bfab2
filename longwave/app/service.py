"""A WebSocket of Longwave's own pages: no peer, in no namespace, not among those of the project."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from longwave.app.values import encode_json
from longwave.contract import Link, UpgradeReply

__all__ = ["ServiceSocket"]

log = logging.getLogger("longwave.error")

INVALID_DATA = 1007
INTERNAL_ERROR = 1011
"""RFC 6455 section 7.4.1."""


class ServiceSocket:
    """The session of one such WebSocket: JSON both ways, an object per message.

    Its name is for the log. `opened` is called when it may be sent to, `told` with each object that comes,
    `gone` at the end of one that was opened. Whoever does not read is closed as any slow peer is
    (`limits.outgoing`).
    """

    def __init__(
        self,
        name: str,
        *,
        opened: Callable[[ServiceSocket], None],
        told: Callable[[ServiceSocket, dict[str, Any]], None] = lambda socket, message: None,
        gone: Callable[[ServiceSocket], None] = lambda socket: None,
    ) -> None:
        self._name = name
        self._opened = opened
        self._told = told
        self._gone = gone
        self._link: Link | None = None

    def accept(self, protocol: str | None = None) -> UpgradeReply:
        """Return the reply that accepts it."""
        return UpgradeReply(self, protocol=protocol)

    @property
    def buffered(self) -> int:
        """Bytes that the client has not taken yet."""
        return 0 if self._link is None else self._link.buffered

    def send(self, message: Any) -> None:
        """Send a value as JSON; does nothing before the start and after the end."""
        self.send_text(encode_json(message))

    def send_text(self, payload: bytes) -> None:
        """Send what is JSON already, in UTF-8; several may share it."""
        if self._link is not None:
            self._link.write(self._link.wire.frame(payload, True))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it in order."""
        if self._link is not None:
            self._link.close(code, reason)

    # Called by the server (contract.Session).

    def opened(self, link: Link) -> None:
        """Let it be sent to."""
        self._link = link
        self._opened(self)

    def received(self, data: str | bytes, is_text: bool) -> None:
        """Hand an object on; close with 1007 for anything else."""
        try:
            message = msgspec.json.decode(data, type=dict[str, Any]) if is_text else None
        except (msgspec.MsgspecError, RecursionError):
            message = None
        if message is None:
            self.close(INVALID_DATA, "expected a JSON object")
            return
        try:
            self._told(self, message)
        except Exception:
            log.exception("a message to %s failed", self._name)
            self.close(INTERNAL_ERROR)

    def pinged(self, data: bytes) -> None:
        """The server has answered it."""

    def ponged(self, data: bytes) -> None:
        """Nothing waits for it."""

    def drained(self) -> None:
        """Nothing waits for it."""

    def closed(self, code: int, reason: str) -> None:
        """Tell of the end, once."""
        if self._link is not None:
            self._link = None
            self._gone(self)
