from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from longwave.app.event_message import EventMessage, encode_push


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("event", "encoded"),
    [
        ("a", b"data: a\n\n"),
        ("", b"data: \n\n"),
        ("a\r\nb\rc\nd", b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("\u2028\x0b\x0c\x85", "data: \u2028\x0b\x0c\x85\n\n".encode()),
        ({"a": 1}, b'data: {"a":1}\n\n'),
        (7, b"data: 7\n\n"),
        (Point(1), b'data: {"x":1}\n\n'),
        (EventMessage("x", "e", "1", 5), b"id: 1\nevent: e\nretry: 5\ndata: x\n\n"),
        (EventMessage([1], id=""), b"id: \ndata: [1]\n\n"),
        (EventMessage(None, id="7"), b"id: 7\n\n"),
        (EventMessage(), b"data: \n\n"),
    ],
)
def test_what_may_be_pushed(event: Any, encoded: bytes) -> None:
    assert encode_push(event) == encoded


@pytest.mark.parametrize("event", [None, b"x", object(), EventMessage(b"x"), EventMessage(object())])
def test_what_may_not(event: Any) -> None:
    with pytest.raises(TypeError):
        encode_push(event)


@pytest.mark.parametrize(
    "event",
    [
        EventMessage("x", event="a\nb"),
        EventMessage("x", event="a\rb"),
        EventMessage("x", event="a\0"),
        EventMessage("x", id="a\nb"),
        EventMessage("x", id="\0"),
        EventMessage("x", retry=-1),
        EventMessage("x", event="\ud800"),
        EventMessage("x", id="\ud800"),
        "\ud800",
        ["\ud800"],
    ],
)
def test_nothing_can_inject_an_event(event: Any) -> None:
    with pytest.raises(ValueError):
        encode_push(event)
