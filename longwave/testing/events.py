"""Reading an event stream: the parser of the WHATWG HTML standard, section 9.2.6."""

from __future__ import annotations

import codecs
import json
from typing import Any

from msgspec import Struct

__all__ = ["EventParser", "ServerEvent"]


class ServerEvent(Struct, frozen=True):
    """One event as a browser's EventSource would dispatch it."""

    data: str = ""
    """The data; several lines are joined with LF."""
    event: str = "message"
    """The type; `message` where the server named none."""
    id: str = ""
    """The last event id after this event."""
    retry: int | None = None
    """Milliseconds, where a `retry` field came since the event before."""
    comments: tuple[str, ...] = ()
    """The comments that came since the event before."""

    def json(self, type: Any = None) -> Any:
        """Return the data decoded as JSON, as the `type` if one is given.

        `ValueError` if it is not JSON.
        """
        if type is None:
            return json.loads(self.data)
        import msgspec

        return msgspec.json.decode(self.data, type=type)

    def __str__(self) -> str:
        return self.data


class EventParser:
    """Turns the bytes of an event stream into events, whatever pieces they come in."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._first = True
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""
        self._retry: int | None = None
        self._comments: list[str] = []
        self.last_event_id = ""
        """What EventSource would send as `Last-Event-ID` when it comes back."""
        self.retry: int | None = None
        """The last `retry` in milliseconds."""
        self.comments: list[str] = []
        """Every comment so far: heartbeats are comments."""

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Take bytes and return the events that are complete with them."""
        new = self._decoder.decode(data)
        if self._first and new:
            self._first = False
            # A leading BOM is not part of the stream: WHATWG HTML 9.2.5.
            new = new.removeprefix("\ufeff")
        if self._after_cr and new:
            # The line ended at the CR; the LF of a CRLF that came in two pieces is no empty line.
            self._after_cr = False
            new = new.removeprefix("\n")
        text = self._text + new
        events: list[ServerEvent] = []
        start = 0
        while (at := _line_end(text, start)) >= 0:
            event = self._line(text[start:at])
            if event is not None:
                events.append(event)
            self._after_cr = text[at] == "\r" and at + 1 == len(text)
            start = at + (2 if text.startswith("\r\n", at) else 1)
        self._text = text[start:]
        return events

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            comment = line[1:].removeprefix(" ")
            self.comments.append(comment)
            self._comments.append(comment)
            return None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_event_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = self._retry = int(value)
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, name = self._data, self._event
        self._data, self._event = [], ""
        if not data:
            return None
        event = ServerEvent(
            "\n".join(data), name or "message", self.last_event_id, self._retry, tuple(self._comments)
        )
        self._retry = None
        self._comments = []
        return event


def _line_end(text: str, start: int) -> int:
    """Return where the next CR or LF is, or -1."""
    lf = text.find("\n", start)
    cr = text.find("\r", start, lf if lf >= 0 else len(text))
    return cr if cr >= 0 else lf
