"""What goes on in an application: its open connections, and news of requests and connections.

`observed.Observed` fills it in. Whoever shows something subscribes; with nobody there, nothing is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from longwave.app.event_stream import EventStream
from longwave.app.peer import Peer
from longwave.contract import Address, Link, Session

__all__ = ["LEFT", "Activity", "Closed", "Connection", "Happening", "Kind", "Opened", "Requested"]

error_log = logging.getLogger("longwave.error")

Kind: TypeAlias = Literal["websocket", "stream"]

LEFT = 499
"""The status of a request whose client went away before it was answered; nginx's number for that."""


class Connection:
    """One open WebSocket or event stream, with its counters.

    `path` is decoded, `route` the pattern that serves it and `source` its file, where there is one. `began`
    is seconds since 1970. `received` and `sent` are messages, or events of a stream; bytes are those of
    payloads for what came, and those for the network for what was sent.
    """

    __slots__ = (
        "_link",
        "_session",
        "_since",
        "address",
        "began",
        "id",
        "kind",
        "method",
        "path",
        "received",
        "received_bytes",
        "route",
        "sent",
        "sent_bytes",
        "source",
    )

    def __init__(
        self, id: str, kind: Kind, method: str, path: str, address: Address | None, session: Session
    ) -> None:
        self.id = id
        self.kind = kind
        self.method = method
        self.path = path
        self.address = address
        self.route: str | None = None
        self.source: str | None = None
        self.began = time.time()
        self.received = self.received_bytes = self.sent = self.sent_bytes = 0
        self._since = time.monotonic()
        # Whatever it is: a peer and a stream of ours tell more of themselves than that of others.
        self._session: Any = session
        self._link: Link | None = None

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self._since

    @property
    def buffered(self) -> int:
        """Bytes that the network has not taken."""
        return 0 if self._link is None else self._link.buffered

    @property
    def topics(self) -> list[tuple[str, str | None]]:
        """What it listens to: topics with their namespaces, None for all."""
        return [(channel.topic, channel.namespace) for channel in getattr(self._session, "channels", ())]

    @property
    def namespace(self) -> str | None:
        """The namespace of a WebSocket."""
        return getattr(self._session, "namespace", None)

    @property
    def user(self) -> Any:
        """Who it is, where the `upgrade` hook said."""
        return getattr(self._session, "user", None)

    @property
    def protocol(self) -> str | None:
        """The subprotocol of a WebSocket."""
        return getattr(self._session, "protocol", None)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it in order, after what was sent before.

        Raises `ValueError` for a code or reason that cannot be sent.
        """
        session, link = self._session, self._link
        if isinstance(session, Peer):
            session.close(code, reason)
        elif isinstance(session, EventStream):
            session.end()
        elif link is not None:
            link.close(code, reason)

    def attach(self, link: Link | None) -> None:
        """Take the link that it has from now on, or (None) at its end no more."""
        self._link = link


class Requested(Struct, frozen=True):
    """A request was answered whole, a refused WebSocket too. `seconds` is until then.

    `path` is decoded and without query, `status` is `LEFT` where the client went away before.
    """

    method: str
    path: str
    status: int
    seconds: float
    address: Address | None
    is_upgrade: bool = False


class Opened(Struct, frozen=True):
    """A WebSocket or an event stream was opened."""

    connection: Connection


class Closed(Struct, frozen=True):
    """It ended, `seconds` after it was opened."""

    connection: Connection
    code: int
    reason: str
    seconds: float


Happening: TypeAlias = Requested | Opened | Closed


class Activity:
    """The open connections by their ids, and who wants to hear of what happens.

    It is used on the loop's thread.
    """

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self._subscribers: dict[Callable[[Happening], None], None] = {}

    @property
    def is_followed(self) -> bool:
        """Whether anybody hears what is told."""
        return bool(self._subscribers)

    def subscribe(self, callback: Callable[[Happening], None]) -> Callable[[], None]:
        """Call back with whatever happens; returns what ends that."""
        self._subscribers[callback] = None
        return lambda: self._subscribers.pop(callback, None)

    def tell(self, happening: Happening) -> None:
        """Pass it on; one subscriber that fails does not keep it from the others."""
        for subscriber in list(self._subscribers):
            try:
                subscriber(happening)
            except Exception:
                error_log.exception("whoever shows what goes on failed")
