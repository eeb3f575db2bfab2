"""What is shown, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from longwave.cli.terminal import RouteLine, Terminal, count, few, milliseconds
from longwave.config.settings import Hidden, LogLevel, Origin

ROUTES = [
    RouteLine.of("GET", "/api/sse", "http", "src/server/routes/api/sse.py"),
    RouteLine.of("GET", "/api/ws/[room]", "websocket", "src/server/routes/api/ws/[room].py"),
    RouteLine.of(None, "/", "http", "index.py"),
]
HIDDEN = Hidden("server.port", 3000, "longwave.config.py", Origin(3001, "pyproject.toml [tool.longwave]"))


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def banner(out: io.StringIO, level: LogLevel = "info", routes: list[RouteLine] = ROUTES) -> str:
    Terminal(level, out).banner(
        0.2124,
        local=["http://localhost:3001/"],
        network=["http://10.0.0.1:3001/"],
        routes=routes,
        hidden=[HIDDEN],
    )
    return out.getvalue()


def test_a_banner_where_nobody_looks() -> None:
    lines = banner(io.StringIO()).splitlines()
    assert lines[0].startswith("  longwave 0.") and lines[0].endswith("ready in 212 ms")
    assert lines[1:] == [
        "  Local    http://localhost:3001/",
        "  Network  http://10.0.0.1:3001/",
        "  GET  /api/sse        http       src/server/routes/api/sse.py",
        "  WS   /api/ws/[room]  websocket  src/server/routes/api/ws/[room].py",
        "  ANY  /               http       index.py",
        "  server.port is 3001 of pyproject.toml [tool.longwave], which hides 3000 of longwave.config.py",
    ]


def test_a_banner_on_a_terminal_has_colours_and_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    text = banner(Tty())
    assert "\x1b[" in text
    assert "src/server/routes/api/ws/[room].py" in text
    assert "http://localhost:3001/" in text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colours(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert "\x1b[" not in banner(Tty())


@pytest.mark.parametrize("level", ["warning", "error", "silent"])
def test_a_level_above_info_has_no_banner(level: LogLevel) -> None:
    assert banner(io.StringIO(), level) == ""


def test_many_routes_are_cut() -> None:
    text = banner(io.StringIO(), routes=[RouteLine("GET", f"/{n}", "http", f"{n}.py") for n in range(30)])
    assert "... and 6 more; see them with: longwave routes" in text
    assert "/24 " not in text


def test_errors_go_to_stderr() -> None:
    out, error = io.StringIO(), io.StringIO()
    Terminal("error", out, error).error("no")
    Terminal("silent", out, error).error("unheard")
    assert (out.getvalue(), error.getvalue()) == ("", "error: no\n")


def test_words() -> None:
    assert milliseconds(0.0004) == "0 ms"
    assert milliseconds(12) == "12.0 s"
    assert few(["a", "b", "c"]) == "a, b, c"
    assert few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_what_other_programs_write() -> None:
    out = io.StringIO()
    Terminal("warning", out).output("vite", "warning: old  ")
    Terminal("silent", out).output("vite", "never")
    assert out.getvalue() == "  vite warning: old\n"


def test_swaps_and_what_came_of_them() -> None:
    out = io.StringIO()
    terminal = Terminal("info", out)
    terminal.swapped(["a.py", "b.py"], 0.0061, ["1 route", "2 sockets kept"])
    terminal.swapped(["a.py"], 0.01, ["1 module"], mended=True)
    Terminal("warning", out).swapped(["a.py"], 0.01, ["1 module"])
    assert out.getvalue().splitlines() == [
        "  swapped in 6 ms: a.py, b.py (1 route, 2 sockets kept)",
        "  mended in 10 ms: a.py (1 module)",
    ]


def test_counts() -> None:
    assert [count(number, "socket") for number in range(3)] == ["", "1 socket", "2 sockets"]
