"""Which connections and topics a page is shown: filtered, in order, and so many at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import nlargest, nsmallest
from itertools import islice
from typing import Any

from longwave.hub.outgoing import Channel
from longwave.inspector.activity import Connection
from longwave.inspector.protocol import ConnectionsView, TopicsView, connection_row, sound, user_text
from longwave.inspector.tally import Tally

__all__ = ["connection_rows", "topic_rows"]

MOST_TOPICS = 50_000
"""Topics that are looked at for a page, of a worker that has more."""

_TEXTS: dict[str, Callable[[Connection], Any]] = {
    "kind": lambda connection: (connection.kind, connection.path),
    "path": lambda connection: connection.path,
    "address": lambda connection: (connection.address is None, connection.address),
    "namespace": lambda connection: connection.namespace or "",
    "user": lambda connection: user_text(connection) or "",
}
_NUMBERS: dict[str, Callable[[Connection], float]] = {
    "age": lambda connection: connection.age,
    "received": lambda connection: connection.received_bytes,
    "sent": lambda connection: connection.sent_bytes,
    "buffered": lambda connection: connection.buffered,
    "topics": lambda connection: len(connection.topics),
}


def connection_rows(
    connections: dict[str, Connection], view: ConnectionsView
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many connections match a view, and the rows of the first.

    Numbers begin with the largest, texts with the first in the alphabet.
    """
    words = view.filter.lower().split()
    matching = list(connections.values())
    if words:
        matching = [connection for connection in matching if _matches(connection, words)]
    if view.sort in _NUMBERS:
        first = nlargest(view.limit, matching, key=_NUMBERS[view.sort])
    else:
        first = nsmallest(view.limit, matching, key=_TEXTS[view.sort])
    return len(matching), [connection_row(connection) for connection in first]


def topic_rows(channels: Iterable[Channel], view: TopicsView, tally: Tally) -> list[dict[str, Any]]:
    """Return the rows of the busiest topics that match a view."""
    words = view.filter.lower().split()
    matching: Iterable[Channel] = islice(channels, MOST_TOPICS)
    if words:
        matching = (channel for channel in matching if _names(channel, words))
    first = nlargest(
        view.limit, matching, key=lambda channel: (tally.rate(channel), len(channel.subscribers))
    )
    return [
        {
            "topic": sound(channel.topic),
            "namespace": sound(channel.namespace),
            "subscribers": len(channel.subscribers),
            "publications": tally.count(channel),
            "rate": tally.rate(channel),
        }
        for channel in first
    ]


def _matches(connection: Connection, words: list[str]) -> bool:
    row = connection_row(connection)
    shown = ("id", "kind", "method", "path", "route", "source", "address", "namespace", "user", "protocol")
    text = " ".join([*(str(row[name]) for name in shown if row[name] is not None), *row["topics"]]).lower()
    return all(word in text for word in words)


def _names(channel: Channel, words: list[str]) -> bool:
    text = f"{channel.topic} {channel.namespace or ''}".lower()
    return all(word in text for word in words)
