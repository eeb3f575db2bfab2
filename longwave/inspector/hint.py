"""Says in development that one browser opens so many event streams that it will soon open no more."""

from __future__ import annotations

import logging

from longwave.inspector.activity import Activity, Closed, Happening, Opened

__all__ = ["hint_at_many_streams"]

log = logging.getLogger("longwave.dev")

MANY = 5


def hint_at_many_streams(activity: Activity) -> None:
    """Say it at the fifth open stream of an address, once for each address."""
    counts: dict[str, int] = {}
    told: set[str] = set()

    def hear(happening: Happening) -> None:
        if not isinstance(happening, (Opened, Closed)):
            return
        connection = happening.connection
        if connection.kind != "stream" or connection.address is None:
            return
        host = connection.address[0]
        count = counts.get(host, 0) + (1 if isinstance(happening, Opened) else -1)
        if count:
            counts[host] = count
        else:
            counts.pop(host, None)
        if count >= MANY and host not in told:
            told.add(host)
            log.warning(HINT, count, host)

    activity.subscribe(hear)


HINT = (
    "%d event streams are open from %s: over HTTP/1.1 a browser has six connections to a host, for all of "
    "its tabs, and whatever comes after waits. Let one stream subscribe to several topics, use a WebSocket, "
    "or put a proxy with HTTP/2 in front"
)
