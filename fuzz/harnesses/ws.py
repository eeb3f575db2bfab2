"""Frames give the same events and the same close code and reason: whole, in pieces, one event at a time.

`receive_one` agrees with `receive`; the only errors are 1002, 1007, 1008, 1009; what is held is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import eq
from typing import TypeAlias

from fuzz.source import Source, pieces
from longwave.core.frames import encode_close_answer, encode_ping, is_close_code
from longwave.core.ws import Close, Event, Ping, Pong, WebSocket
from longwave.errors import ProtocolError

__all__ = ["Verdict", "check", "check_with", "verdict"]

Make: TypeAlias = Callable[[int, int], WebSocket]
Verdict: TypeAlias = tuple[list[Event], tuple[int, str] | None]
Same: TypeAlias = Callable[[Verdict, Verdict], bool]

LIMITS = ((70_000, 4096), (140, 3), (10, 2), (125, 4096))
EXTRA_HELD = 14 + 125
"""Beside an unfinished message: a header, or a control frame that is not whole."""


def check(data: bytes) -> None:
    """Read frames without extensions."""
    check_with(WebSocket, data)


def check_with(make: Make, data: bytes, same: Same = eq) -> None:
    """Read frames as a receiver of one kind; the first two bytes are the chopping and the limits."""
    source = Source(data)
    how = source.byte()
    limits = source.pick(LIMITS)
    sent = source.rest()
    whole = verdict(make(*limits), [sent], limits[0])
    cut = list(pieces(sent, how))
    in_pieces = verdict(make(*limits), cut, limits[0])
    assert same(in_pieces, whole), "other events in pieces"
    assert verdict(make(*limits), cut, limits[0], lazily=True) == in_pieces, "other events one at a time"
    assert verdict(make(*limits), cut, limits[0], by_one=True) == in_pieces, "other events with receive_one"
    assert verdict(make(*limits), [sent], limits[0], by_one=True) == whole, "receive_one is not receive"
    check_events(*whole, limits[0])


def verdict(
    ws: WebSocket, data: Iterable[bytes], limit: int, *, lazily: bool = False, by_one: bool = False
) -> Verdict:
    """Return the events of the bytes, and the error."""
    events: list[Event] = []
    error: tuple[int, str] | None = None
    for piece in data:
        try:
            message = ws.receive_one(piece) if by_one else None
            if message is not None:
                events.append(message)
                assert ws.held == 0
                continue
            for event in ws.receive(piece):
                events.append(event)
                if lazily:
                    break
            while lazily and (event_or_none := next(ws.receive(b""), None)) is not None:
                events.append(event_or_none)
        except ProtocolError as failed:
            assert error is None, "a second error"
            error = (failed.code, failed.reason)
            assert ws.closed
        assert ws.held <= limit + EXTRA_HELD, f"{ws.held} bytes are held"
        assert not ws.closed or ws.held == 0
    assert ws.closed == (error is not None or (bool(events) and isinstance(events[-1], Close)))
    return events, error


def check_events(events: list[Event], error: tuple[int, str] | None, limit: int) -> None:
    """Check that every event is one that the protocol knows, and can be answered."""
    if error is not None:
        assert error[0] in (1002, 1007, 1008, 1009), error
        encode_close_answer(error[0])
    for event in events[:-1]:
        assert not isinstance(event, Close), "something follows a close frame"
    for event in events:
        if isinstance(event, str):
            assert len(event.encode()) <= limit
        elif isinstance(event, bytes):
            assert len(event) <= limit
        elif isinstance(event, (Ping, Pong)):
            encode_ping(event.data)
        else:
            assert error is None
            assert event.code == 1005 or is_close_code(event.code)
            assert len(event.reason.encode()) <= 123
            encode_close_answer(event.code)
