from __future__ import annotations

import pytest

from longwave.testing import EventParser, ServerEvent

STREAM = (
    "\ufeffid: 1\nevent: tick\nretry: 1500\ndata: one\ndata:two\n\n"
    ": a comment\r\n:another\r\ndata:  spaced\r\n\r\n"
    "data: cr\r\rid: bad\0id\ndata\n\n"
    "event: forgotten\n\ndata: after\nunknown: field\n\n"
    "id\nretry: x1\ndata: grüße\n\ndata: never finished\n"
).encode()

EVENTS = [
    ServerEvent("one\ntwo", "tick", "1", 1500),
    ServerEvent(" spaced", "message", "1", None, ("a comment", "another")),
    ServerEvent("cr", "message", "1"),
    ServerEvent("", "message", "1"),
    ServerEvent("after", "message", "1"),
    ServerEvent("grüße", "message", ""),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_in_pieces_of_any_size(size: int) -> None:
    parser = EventParser()
    events: list[ServerEvent] = []
    for start in range(0, len(STREAM), size):
        events += parser.feed(STREAM[start : start + size])
    assert events == EVENTS
    assert (parser.retry, parser.last_event_id, parser.comments) == (1500, "", ["a comment", "another"])


def test_a_line_that_ends_with_cr_is_there_at_once() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\r\r") == [ServerEvent("x")]
    assert parser.feed(b"\ndata: y\n\n") == [ServerEvent("y")]


def test_json() -> None:
    event = ServerEvent('{"a": [1]}')
    assert event.json() == {"a": [1]}
    assert event.json(dict[str, list[int]]) == {"a": [1]}
    assert str(event) == '{"a": [1]}'
    with pytest.raises(ValueError):
        event.json(list)
