"""What a page may say, and how things are put for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longwave.app.values import encode_json
from longwave.hub.outgoing import Outgoing
from longwave.inspector.activity import Closed, Connection, Opened, Requested
from longwave.inspector.protocol import (
    Close,
    ConnectionsView,
    Publish,
    TailView,
    TopicsView,
    View,
    answer,
    connection_row,
    happening_message,
    publication_message,
    read_command,
    shortened,
)
from tests.inspector.test_activity import Other


class Known(Other):
    """A session that says who it is."""

    def __init__(self, user: Any) -> None:
        self.user = user
        self.namespace = "/\ud800"


def test_commands() -> None:
    assert read_command({"do": "view"}) == View()
    assert read_command({"do": "view", "connections": {}, "topics": {"limit": 0}, "tail": {}}) == View(
        ConnectionsView(), TopicsView(limit=0), TailView()
    )
    asked = {"do": "view", "connections": {"filter": "a", "sort": "sent", "limit": 500}, "tail": None}
    assert read_command(asked) == View(ConnectionsView("a", "sent", 500))
    assert read_command({"do": "publish", "topic": "t", "data": None, "to": 3}) == Publish("t", None)
    assert read_command({"do": "close", "id": "x", "code": 4000}) == Close("x", 4000)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": "drop tables"},
        {"do": 7},
        {"do": ["view"]},
        {"do": "x" * 1_000_000},
        {"do": "view", "connections": {"limit": 501}},
        {"do": "view", "connections": {"limit": -1}},
        {"do": "view", "connections": {"limit": 1e300}},
        {"do": "view", "connections": {"sort": "__class__"}},
        {"do": "view", "connections": {"filter": "x" * 201}},
        {"do": "view", "connections": "all"},
        {"do": "view", "topics": {"filter": None}},
        {"do": "view", "tail": {"topic": 7}},
        {"do": "publish", "data": 1},
        {"do": "publish", "topic": "t"},
        {"do": "publish", "topic": "t", "data": 1, "namespace": []},
        {"do": "close"},
        {"do": "close", "id": None},
        {"do": "close", "id": "x", "code": "1000"},
    ],
    ids=str,
)
def test_what_a_client_may_not_say(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as raised:
        read_command(message)
    assert 0 < len(str(raised.value)) <= 301
    assert json.loads(encode_json(answer(message, raised.value)))["ok"] is False


@pytest.mark.parametrize("to", [None, "x", 1.5, 2**53, -(2**70), [1]])
def test_an_answer_to_who_knows_what(to: Any) -> None:
    assert answer({"to": to}) == {"type": "answer", "to": None, "ok": True}
    assert answer({"to": 7}, ValueError("no"))["to"] == 7


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        (None, None),
        ("ann", "ann"),
        (7, "7"),
        ({"id": 1}, "{'id': 1}"),
        ("\ud800", "?"),
        ("x" * 500, "x" * 120 + "…"),
    ],
    ids=repr,
)
def test_the_user_of_a_connection(user: Any, shown: str | None) -> None:
    connection = Connection("1", "stream", "GET", "/", ("::1", 80), Known(user))
    row = connection_row(connection)
    assert row["user"] == shown
    assert (row["address"], row["namespace"]) == ("[::1]:80", "/?")
    assert encode_json(row)


def test_a_user_that_cannot_be_shown() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise KeyError("x")

    row = connection_row(Connection("1", "stream", "GET", "/", None, Known(Shy())))
    assert row["user"] == "<Shy, whose repr raised KeyError>" and row["address"] is None


def test_what_happens() -> None:
    connection = Connection("1", "websocket", "GET", "/x", ("192.0.2.1", 80), Other())
    connection.received = 3
    opened = happening_message(Opened(connection))
    assert opened.pop("at") > 1e9
    assert opened == {
        "type": "opened",
        "id": "1",
        "kind": "websocket",
        "method": "GET",
        "path": "/x",
        "address": "192.0.2.1:80",
    }
    closed = happening_message(Closed(connection, 1001, "bye", 2.5))
    assert {
        **opened,
        "type": "closed",
        "code": 1001,
        "reason": "bye",
        "seconds": 2.5,
        "received": 3,
        "sent": 0,
    }.items() <= closed.items()
    request = happening_message(Requested("GET", "/" + "y" * 999, 404, 0.5, None, True))
    assert (request["status"], request["upgrade"], len(request["path"])) == (404, True, 301)


def test_publications_are_shown_in_part() -> None:
    short = publication_message(Outgoing("t", b"hello", True), "/n", 2)
    assert (short["text"], short["size"], short["subscribers"], short["namespace"]) == ("hello", 5, 2, "/n")
    long = publication_message(Outgoing("t", ("x" + "ü" * 5000).encode(), True), None, 0)
    assert long["size"] == 10_001 and long["text"] == "x" + "ü" * 2047
    binary = publication_message(Outgoing("t", b"\xff" * 2000, False), None, 0)
    assert "text" not in binary and len(binary["base64"]) == 1368
    assert encode_json(publication_message(Outgoing("\ud800", b"", True), "\ud800", 0))


def test_shortened() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "abc…"
