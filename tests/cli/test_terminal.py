"""What is shown, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os
import time

import pytest

from longwave.cli.terminal import OVERWRITE, RouteLine, Terminal, count, few, lasted, milliseconds
from longwave.config.settings import Hidden, LogLevel, Origin

ROUTES = [
    RouteLine.of("GET", "/api/sse", "http", "src/server/routes/api/sse.py"),
    RouteLine.of("GET", "/api/ws/[room]", "websocket", "src/server/routes/api/ws/[room].py"),
    RouteLine.of(None, "/", "http", "index.py"),
]
NOON = time.mktime((2026, 7, 1, 12, 0, 0, 0, 0, -1))
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
        "  Local     http://localhost:3001/",
        "  Network   http://10.0.0.1:3001/",
        "  GET  /api/sse        http       src/server/routes/api/sse.py",
        "  WS   /api/ws/[room]  websocket  src/server/routes/api/ws/[room].py",
        "  ANY  /               http       index.py",
        "  server.port is 3001 of pyproject.toml [tool.longwave], which hides 3000 of longwave.config.py: "
        "remove it from pyproject.toml to use 3000",
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


def test_colours_can_be_wanted_where_no_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[36mhttp://" in banner(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "0")
    assert "\x1b[" not in banner(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in banner(io.StringIO())


@pytest.mark.parametrize(
    ("out", "variable", "is_watched"),
    [(Tty(), "", True), (Tty(), "true", False), (Tty(), "false", True), (io.StringIO(), "", False)],
)
def test_whether_somebody_is_there(
    out: io.StringIO, variable: str, is_watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", variable)
    monkeypatch.setenv("NO_COLOR", "1")
    assert Terminal("info", out).is_watched is is_watched


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
    assert [lasted(seconds) for seconds in (0.25, 59.9, 60, 3599, 3600)] == [
        "250 ms",
        "59.9 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]
    assert few(["a", "b", "c"]) == "a, b, c"
    assert few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_what_other_programs_write() -> None:
    out = io.StringIO()
    Terminal("warning", out).output("vite", "warning: old  ")
    Terminal("silent", out).output("vite", "never")
    Terminal("info", out).output("vite", "\x1b[32mready\x1b[39m in 1 s")
    assert out.getvalue() == "  vite warning: old\n  vite ready in 1 s\n"


def test_swaps_and_what_came_of_them() -> None:
    out = io.StringIO()
    terminal = Terminal("info", out, now=lambda: NOON)
    terminal.swapped(["a.py", "b.py"], 0.0061, ["1 route", "2 sockets kept"])
    terminal.swapped(["a.py"], 0.01, ["1 module"], mended=True)
    terminal.swapped(["a.py"], 0.01, ["1 module"], mended=True)
    terminal.restarted([], 0.21)
    terminal.restarted(["words.py"], 0.21, "metrics.py is a plugin, which runs once")
    terminal.page(["public/a.css"], "new style")
    quiet = Terminal("warning", out)
    quiet.swapped(["a.py"], 0.01, ["1 module"])
    quiet.restarted(["a.py"], 0.01)
    quiet.page(["a.css"])
    assert out.getvalue().splitlines() == [
        "  12:00:00  swapped in 6 ms: a.py, b.py (1 route, 2 sockets kept)",
        "  12:00:00  mended in 10 ms: a.py (1 module)",
        # Where nothing can be overwritten each is a line.
        "  12:00:00  mended in 10 ms: a.py (1 module)",
        "  12:00:00  restarted in 210 ms",
        "  12:00:00  restarted in 210 ms: words.py (metrics.py is a plugin, which runs once)",
        "  12:00:00  page: public/a.css (new style)",
    ]


def swaps(monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> tuple[Tty, Terminal]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((columns, 24)))
    out = Tty()
    monkeypatch.setattr(out, "fileno", lambda: 1)
    return out, Terminal("info", out, now=lambda: NOON)


def test_the_same_line_again_is_one_with_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    out, terminal = swaps(monkeypatch)
    for seconds in (0.005, 0.006, 0.007):
        terminal.swapped(["a.py"], seconds, ["1 route"])
    lines = out.getvalue().split(OVERWRITE)
    assert ["(x" in line for line in lines] == [False, True, True]
    assert "in 7 ms" in lines[2] and "(x3)" in lines[2]
    # Not over what came in between, whoever wrote it.
    terminal.interrupted()
    terminal.swapped(["a.py"], 0.005, ["1 route"])
    terminal.notice("something")
    terminal.swapped(["a.py"], 0.005, ["1 route"])
    terminal.failure("wrong")
    terminal.swapped(["a.py"], 0.005, ["1 route"])
    terminal.swapped(["b.py"], 0.005, ["1 route"])
    assert out.getvalue().count(OVERWRITE) == 2
    terminal.swapped(["b.py"], 0.005, ["1 route"])
    assert out.getvalue().count("(x2)") == 2


def test_a_line_that_is_broken_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    out, terminal = swaps(monkeypatch, columns=50)
    for _ in range(2):
        terminal.swapped(["a.py"], 0.005, ["1 route"])
    assert out.getvalue().count(OVERWRITE) == 0
    for _ in range(2):
        terminal.page(["a.css"])
    assert out.getvalue().count(OVERWRITE) == 1


def test_what_is_shown_cannot_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    out, terminal = swaps(monkeypatch)
    terminal.line("  ", ("/a\x1b[2Jb", "cyan"))
    assert "\x1b[2J" not in out.getvalue()
    plain = io.StringIO()
    Terminal("info", plain).line("a\nb\x07")
    assert plain.getvalue() == "a\\nb\\x07\n"


def test_the_screen_is_cleared_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    out, terminal = swaps(monkeypatch)
    terminal.clear()
    assert out.getvalue() == "\x1b[2J\x1b[3J\x1b[H"
    plain = io.StringIO()
    Terminal("info", plain).clear()
    assert plain.getvalue() == ""


def test_failures_while_it_is_served() -> None:
    error = io.StringIO()
    terminal = Terminal("info", io.StringIO(), error, lambda: NOON)
    terminal.failure("a.py, line 3: SyntaxError: no\n    x = (", "The code from before goes on.")
    Terminal("silent", error=error).failure("unheard")
    assert error.getvalue().splitlines() == [
        "  12:00:00  error: a.py, line 3: SyntaxError: no",
        "              x = (",
        "            The code from before goes on.",
    ]


def test_counts() -> None:
    assert [count(number, "socket") for number in range(3)] == ["", "1 socket", "2 sockets"]
