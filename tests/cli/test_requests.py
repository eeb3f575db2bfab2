"""The lines of requests and connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from longwave.cli.lines import Lines
from longwave.cli.requests import RequestLines
from longwave.cli.terminal import Part
from longwave.inspector.activity import LEFT, Closed, Connection, Kind, Opened, Requested


class Session:
    """Of a connection; only its subprotocol is asked for."""

    def __init__(self, protocol: str | None) -> None:
        self.protocol = protocol


class Written:
    """Lines that are kept, of which so many may be written."""

    def __init__(self) -> None:
        self.parts: list[Sequence[Part]] = []
        self.left: list[str] = []
        self.room = 100

    def lets(self, noun: str) -> bool:
        if len(self.parts) >= self.room:
            self.left.append(noun)
        return len(self.parts) < self.room

    def write(self, *lines: Sequence[Part]) -> None:
        self.parts += lines

    @property
    def texts(self) -> list[str]:
        """The lines, without the time of day."""
        whole = [
            "".join(part if isinstance(part, str) else part[0] for part in parts) for parts in self.parts
        ]
        return [text[12:] for text in whole]


class Told:
    """What goes on, as it is told to `RequestLines`."""

    def __init__(self) -> None:
        self.written = Written()
        self.later: list[Callable[[], None]] = []
        self.lines = RequestLines(
            cast(Lines, self.written),
            lambda method, path: path.startswith("/api/"),
            lambda seconds, callback: self.later.append(callback),
            lambda: 0.0,
        )

    def request(self, path: str, status: int = 200, method: str = "GET", **more: bool) -> None:
        self.lines.hear(Requested(method, path, status, 0.0034, None, **more))

    def connection(self, kind: Kind, path: str, protocol: str | None = None) -> Connection:
        connection = Connection("1", kind, "GET", path, None, Session(protocol))  # type: ignore[arg-type]
        self.lines.hear(Opened(connection))
        return connection


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_line_for_a_request(told: Told) -> None:
    told.request("/api/clock")
    told.request("/api/say", 422, "POST")
    told.request("/api/ws", 403, is_upgrade=True)
    told.request("/api/slow", LEFT)
    assert told.written.texts == [
        "GET    200   /api/clock  3.4 ms",
        "POST   422   /api/say  3.4 ms",
        "WS     403   /api/ws  3.4 ms",
        "GET    left  /api/slow  3.4 ms",
    ]


@pytest.mark.parametrize(
    ("status", "style"),
    [(101, ""), (200, "green"), (304, "cyan"), (404, "yellow"), (500, "bold red")],
)
def test_the_colour_of_a_status(told: Told, status: int, style: str) -> None:
    told.request("/api/x", status)
    assert told.written.parts[0][2] == (f"{status} ", style)


def test_a_websocket_and_a_stream_open_and_close(told: Told) -> None:
    chat = told.connection("websocket", "/api/chat")
    chat.received, chat.sent = 12, 40
    clock = told.connection("stream", "/api/clock")
    told.lines.hear(Closed(chat, 1001, "", 38.25))
    told.lines.hear(Closed(chat, 4000, "bye", 0.5))
    told.lines.hear(Closed(clock, 1000, "", 125.0))
    clock.sent = 1
    told.lines.hear(Closed(clock, 1000, "", 8000.0))
    assert told.written.texts == [
        "WS     open  /api/chat",
        "SSE    open  /api/clock",
        "WS     1001  /api/chat  38.2 s, 12 in, 40 out",
        "WS     4000  /api/chat  500 ms, 12 in, 40 out, bye",
        "SSE    end   /api/clock  2 min 5 s, no events",
        "SSE    end   /api/clock  2 h 13 min, 1 event",
    ]
    codes = [cast("tuple[str, str]", told.written.parts[index][2])[1] for index in (2, 3)]
    assert codes == ["green", "red"]


def test_the_files_of_a_page_are_one_line(told: Told) -> None:
    for path in ("/", "/app.js", "/@vite/client"):
        told.request(path)
    assert told.written.texts == []
    (later,) = told.later
    later()
    assert told.written.texts == ["GET    file  / and 2 more files"]
    assert {part[1] for part in told.written.parts[0]} == {"dim"}
    told.request("/one.css", 304)
    # They come first, and the timer that is still there has nothing to tell.
    told.request("/api/clock")
    told.later[1]()
    assert told.written.texts[1:] == ["GET    file  /one.css", "GET    200   /api/clock  3.4 ms"]


@pytest.mark.parametrize(
    ("path", "status", "method"),
    [("/app.js", 404, "GET"), ("/app.js", 200, "POST"), ("/about", 200, "GET"), ("/api/v1.0", 200, "GET")],
)
def test_what_is_no_file_of_a_page(told: Told, path: str, status: int, method: str) -> None:
    told.request(path, status, method)
    assert len(told.written.texts) == 1


def test_those_of_vite_are_not_shown(told: Told) -> None:
    connection = told.connection("websocket", "/", "vite-hmr")
    told.lines.hear(Closed(connection, 1001, "", 1.0))
    assert told.written.texts == []
    told.connection("websocket", "/", "chat")
    assert len(told.written.texts) == 1


def test_what_is_too_much_is_counted_by_its_kind(told: Told) -> None:
    told.written.room = 1
    told.request("/api/a")
    told.request("/api/b")
    told.connection("websocket", "/api/chat")
    told.request("/")
    told.later[0]()
    assert told.written.left == ["request", "connection", "file"]
    assert len(told.written.texts) == 1


def test_a_long_path_is_cut(told: Told) -> None:
    told.request("/api/" + "x" * 8000)
    assert told.written.texts[0] == f"GET    200   /api/{'x' * 92}...  3.4 ms"
