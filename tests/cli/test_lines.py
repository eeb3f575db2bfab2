"""Lines that never hold up whoever writes them, and what becomes of a flood."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Sequence

import pytest

from longwave.cli import lines as module
from longwave.cli.lines import Flood, Lines, Written
from longwave.cli.terminal import Part


class Paper:
    """Keeps what is shown; `wait` returns when so many lines are there."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_error: list[bool] = []
        self._more = threading.Condition()

    def show(self, lines: Sequence[Sequence[Part]], is_error: bool) -> None:
        with self._more:
            for parts in lines:
                self.lines.append("".join(part if isinstance(part, str) else part[0] for part in parts))
                self.is_error.append(is_error)
            self._more.notify_all()

    def wait(self, number: int) -> list[str]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.lines) >= number, 10), self.lines
            return self.lines


def test_a_flood_lets_some_through_and_counts_the_others() -> None:
    flood = Flood(2)
    assert [flood.lets("request", 10.0) for _ in range(5)] == [True, True, False, False, False]
    assert flood.lets("connection", 10.5)
    assert not flood.lets("request", 10.9)
    assert flood.told(10.9) == ""
    assert flood.rest(10.4) == pytest.approx(0.6)
    assert flood.told(11.0) == "... and 4 more requests in this second"
    assert (flood.told(11.0), flood.rest(11.0)) == ("", None)
    assert flood.lets("request", 11.0)


def test_each_second_is_one_of_its_own() -> None:
    flood = Flood(1)
    assert flood.lets("request", 10.0)
    assert flood.lets("request", 11.0)
    assert not flood.lets("request", 11.1)
    # What was left out is told before the next second begins.
    assert not flood.lets("request", 12.5)
    assert flood.told(12.5) == "... and 2 more requests in this second"
    flood.leave("line")
    flood.leave("request")
    assert flood.told(13.0) == "... and 1 more line, 1 more request in this second"


def test_lines_are_written_in_order_and_kept_together() -> None:
    paper = Paper()
    lines = Lines(paper.show)
    lines.write(["a ", ("b", "dim")], ["c"])
    lines.write(["d"], is_error=True)
    lines.close()
    assert (paper.lines, paper.is_error) == (["a b", "c", "d"], [False, False, True])


def test_what_was_left_out_is_told_when_the_second_is_over_and_nothing_comes() -> None:
    paper, now = Paper(), [10.0]
    lines = Lines(paper.show, per_second=1, clock=lambda: now[0])
    assert [lines.lets("request") for _ in range(4)] == [True, False, False, False]
    now[0] = 11.0
    lines.write(["next"])
    assert paper.wait(2) == ["next", "  ... and 3 more requests in this second"]
    assert lines.lets("request")
    assert not lines.lets("request")
    now[0] = 12.0
    # Before the first of the next second.
    assert lines.lets("request")
    lines.write(["later"])
    assert paper.wait(4)[2:] == ["  ... and 1 more request in this second", "later"]
    lines.close()


def test_it_is_told_where_nothing_else_is_written() -> None:
    paper, now = Paper(), [10.0]
    lines = Lines(paper.show, per_second=1, clock=lambda: now[0])
    assert lines.lets("request")
    now[0] = 10.999
    assert not lines.lets("request")
    now[0] = 11.0
    assert paper.wait(1) == ["  ... and 1 more request in this second"]
    lines.close()


def test_a_terminal_that_is_held_up_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    monkeypatch.setattr(module, "LAST_WORDS", 0.01)
    held, begun, paper = threading.Event(), threading.Event(), Paper()

    def show(lines: Sequence[Sequence[Part]], is_error: bool) -> None:
        begun.set()
        assert held.wait(10)
        paper.show(lines, is_error)

    lines = Lines(show)
    lines.write(["0"])
    assert begun.wait(10)
    for number in range(1, 9):
        lines.write([str(number)])
    lines.close()
    held.set()
    assert paper.wait(7) == ["0", "1", "2", "3", "4", "5", "  ... and 3 more lines in this second"]


def test_a_terminal_that_is_gone_is_none_of_our_business() -> None:
    told = threading.Event()

    def show(lines: Sequence[Sequence[Part]], is_error: bool) -> None:
        if is_error:
            told.set()
        else:
            raise OSError(5, "Input/output error")

    lines = Lines(show)
    lines.write(["a"])
    lines.write(["b"], is_error=True)
    assert told.wait(10)
    lines.close()


def test_a_fork_writes_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper()
    lines = Lines(paper.show)
    lines.close()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert lines.lets("request")
    lines.write(["child"])
    assert paper.lines == ["child"]


class Stream(io.StringIO):
    """A stream whose `write` can be replaced, as that of a file can."""


def test_whether_something_was_written() -> None:
    stream = Stream()
    written = Written([stream])
    assert not written.take()
    print("from the project", file=stream)
    assert (written.take(), written.take()) == (True, False)
    assert stream.getvalue() == "from the project\n"
