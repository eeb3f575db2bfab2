"""An event stream parser, written line by line from WHATWG HTML section 9.2.5 and 9.2.6; for tests.

It imports nothing of the package that it judges.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

__all__ = ["EventStreamParser", "ReceivedEvent", "parse_event_stream"]


@dataclass(frozen=True)
class ReceivedEvent:
    """What an EventSource would dispatch."""

    type: str
    data: str
    last_event_id: str


class EventStreamParser:
    """Bytes in, events out, in any chopping; `reconnection_time` is the last `retry` that counted."""

    def __init__(self) -> None:
        # "UTF-8 decode": invalid bytes become U+FFFD, one byte order mark at the start is dropped.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []
        self._data: list[str] = []
        self._type = ""
        self._id_buffer = ""
        self.last_event_id = ""
        self.reconnection_time: int | None = None
        self.comments: list[str] = []
        self.events: list[ReceivedEvent] = []

    def feed(self, data: bytes) -> list[ReceivedEvent]:
        """Take the next bytes; returns the events that they complete."""
        text = self._decoder.decode(data)
        before = len(self.events)
        for character in text:
            if self._at_start:
                self._at_start = False
                if character == "\ufeff":
                    continue
            if self._after_cr:
                self._after_cr = False
                if character == "\n":
                    continue
            if character in "\r\n":
                self._after_cr = character == "\r"
                line = "".join(self._line)
                self._line.clear()
                self._process_line(line)
            else:
                self._line.append(character)
        return self.events[before:]

    def _process_line(self, line: str) -> None:
        if line == "":
            self._dispatch()
        elif line.startswith(":"):
            self.comments.append(line[1:])
        elif ":" in line:
            name, value = line.split(":", 1)
            self._process_field(name, value.removeprefix(" "))
        else:
            self._process_field(line, "")

    def _process_field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value + "\n")
        elif name == "id":
            if "\0" not in value:
                self._id_buffer = value
        elif name == "retry":
            if value and all(character in "0123456789" for character in value):
                self.reconnection_time = int(value)

    def _dispatch(self) -> None:
        self.last_event_id = self._id_buffer
        data = "".join(self._data)
        if data == "":
            self._type = ""
            return
        data = data.removesuffix("\n")
        self.events.append(ReceivedEvent(self._type or "message", data, self.last_event_id))
        self._data.clear()
        self._type = ""


def parse_event_stream(data: bytes, step: int = 0) -> EventStreamParser:
    """Return a parser that was fed the whole stream, at once or in steps of so many bytes."""
    parser = EventStreamParser()
    if step == 0:
        parser.feed(data)
    else:
        for at in range(0, len(data), step):
            parser.feed(data[at : at + step])
    return parser
