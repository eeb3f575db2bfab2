"""Which connections and topics are shown."""

from __future__ import annotations

from typing import Any

import pytest

from longwave.hub.outgoing import Channel
from longwave.inspector.activity import Connection
from longwave.inspector.protocol import ConnectionsView, TopicsView
from longwave.inspector.rows import _NUMBERS, _TEXTS, connection_rows, topic_rows
from longwave.inspector.tally import Tally
from tests.inspector.test_activity import Other


class Listening(Other):
    def __init__(self, user: Any, *topics: str) -> None:
        self.user = user
        self.channels = tuple(Channel(topic, None) for topic in topics)


def made(count: int = 3) -> dict[str, Connection]:
    connections = {}
    for number in range(count):
        session = Listening("ann" if number == 1 else None, *(f"t{n}" for n in range(number)))
        kind: Any = "stream" if number == 2 else "websocket"
        connection = Connection(
            str(number), kind, "GET", f"/p{9 - number}", (f"10.0.0.{number}", 1) if number else None, session
        )
        connection._since -= number
        connection.received_bytes = number
        connection.sent_bytes = -number
        connections[connection.id] = connection
    return connections


def ids(connections: dict[str, Connection], **view: Any) -> str:
    _, rows = connection_rows(connections, ConnectionsView(**view))
    return "".join(row["id"] for row in rows)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("age", "210"),
        ("received", "210"),
        ("sent", "012"),
        ("topics", "210"),
        ("buffered", "012"),
        ("kind", "210"),
        ("path", "210"),
        ("address", "120"),
        ("user", "021"),
        ("namespace", "012"),
    ],
)
def test_order(sort: str, order: str) -> None:
    assert ids(made(), sort=sort) == order


def test_every_order_is_there() -> None:
    assert {*_NUMBERS, *_TEXTS} == set(ConnectionsView.__annotations__["sort"] and _sorts())


def _sorts() -> tuple[str, ...]:
    from typing import get_args

    from longwave.inspector.protocol import Sort

    return get_args(Sort)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ann", "1"),
        ("STREAM", "2"),
        ("/p9", "0"),
        ("t0 10.0", "21"),
        ("10.0.0.2:1", "2"),
        ("nobody", ""),
        (" ", "210"),
    ],
)
def test_filter(words: str, found: str) -> None:
    assert ids(made(), filter=words) == found


def test_so_many_at_most() -> None:
    matching, rows = connection_rows(made(30), ConnectionsView(limit=5))
    assert matching == 30 and [row["id"] for row in rows] == ["29", "28", "27", "26", "25"]
    assert connection_rows(made(30), ConnectionsView(limit=0)) == (30, [])


def test_topics_with_the_most_publications_first() -> None:
    tally = Tally(0.0)
    channels = [Channel("quiet", None), Channel("busy", "/a"), Channel("popular", "/b")]
    for channel, listeners in zip(channels, (1, 1, 3), strict=True):
        channel.subscribers = dict.fromkeys(range(listeners))  # type: ignore[arg-type]
    for _ in range(5):
        tally.add([channels[1]])
    tally.turn(2.0)
    rows = topic_rows(channels, TopicsView(), tally)
    assert [row["topic"] for row in rows] == ["busy", "popular", "quiet"]
    assert rows[0] == {"topic": "busy", "namespace": "/a", "subscribers": 1, "publications": 5, "rate": 2.5}
    assert [row["topic"] for row in topic_rows(channels, TopicsView("/B"), tally)] == ["popular"]
    assert len(topic_rows(channels, TopicsView(limit=1), tally)) == 1
