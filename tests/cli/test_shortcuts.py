"""Letters that are typed at a terminal, which is a pseudo terminal here."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TextIO

import pytest

from longwave.cli import shortcuts as module
from longwave.cli.shortcuts import Shortcuts


class Desk:
    """A terminal, who types at it, and what became of that."""

    def __init__(self, keyboard: int, stdin: TextIO) -> None:
        self.keyboard = keyboard
        self.stdin = stdin
        self.is_in_foreground = True
        self.looked = asyncio.Event()
        self.done: list[str] = []
        self.news = asyncio.Event()

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    def act(self, letter: str) -> None:
        self.done.append(letter)
        self.news.set()

    def look(self, fd: int) -> bool:
        self.looked.set()
        return self.is_in_foreground

    async def next(self) -> str:
        async with asyncio.timeout(10):
            await self.news.wait()
        self.news.clear()
        return self.done[-1]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Shortcuts]:
        actions = {letter: lambda letter=letter: self.act(letter) for letter in "rq"}
        shortcuts = Shortcuts(actions, lambda: self.act("typed"))
        shortcuts.begin()
        try:
            yield shortcuts
        finally:
            shortcuts.end()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    keyboard, terminal = pty.openpty()
    with open(terminal) as stdin:
        desk = Desk(keyboard, stdin)
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(module, "_is_in_foreground", desk.look)
        monkeypatch.setattr(module, "AGAIN", 0.01)
        yield desk
    os.close(keyboard)


def test_a_letter_with_enter(desk: Desk) -> None:
    async def scenario() -> None:
        async with desk.reading() as shortcuts:
            assert shortcuts.are_read
            desk.type("q\x04r\n Q \nnothing\n")
            while len(desk.done) < 5:
                await desk.next()
            desk.type("r")
            desk.type("\n")
            while len(desk.done) < 7:
                await desk.next()

    asyncio.run(scenario())
    assert desk.done == ["typed", "r", "typed", "q", "typed", "typed", "r"]


def test_the_terminal_stays_as_it_is(desk: Desk) -> None:
    before = termios.tcgetattr(desk.stdin)

    async def scenario() -> None:
        async with desk.reading():
            assert termios.tcgetattr(desk.stdin) == before
            # Nor does reading from it stop waiting for others who have it.
            assert os.get_blocking(desk.stdin.fileno())

    asyncio.run(scenario())
    assert termios.tcgetattr(desk.stdin) == before


def test_in_the_background_nothing_is_read(desk: Desk) -> None:
    async def scenario() -> None:
        desk.is_in_foreground = False
        async with desk.reading() as shortcuts:
            assert not shortcuts.are_read
            desk.looked.clear()
            desk.type("r\n")
            await desk.looked.wait()
            assert desk.done == []
            desk.is_in_foreground = True
            assert await desk.next() == "r"

    asyncio.run(scenario())


def test_what_a_debugger_reads_is_left_to_it(desk: Desk) -> None:
    """One that edits its line reads single keys."""

    async def scenario() -> None:
        modes = termios.tcgetattr(desk.stdin)
        raw = [*modes[:3], modes[3] & ~termios.ICANON, *modes[4:]]
        async with desk.reading():
            termios.tcsetattr(desk.stdin, termios.TCSANOW, raw)
            desk.looked.clear()
            desk.type("r\n")
            await desk.looked.wait()
            assert os.read(desk.stdin.fileno(), 10) == b"r\n"
            termios.tcsetattr(desk.stdin, termios.TCSANOW, modes)
            desk.type("q\n")
            while desk.done != ["typed", "q"]:
                await desk.next()

    asyncio.run(scenario())


def test_control_d_neither_ends_nor_spins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        reads = []

        def read(fd: int, size: int) -> bytes:
            reads.append(fd)
            return b""

        monkeypatch.setattr(os, "read", read)
        monkeypatch.setattr(module, "AGAIN", 60.0)
        async with desk.reading():
            desk.type("\x04")
            desk.type("x\n")
            while not reads:
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(reads) == 1

    asyncio.run(scenario())
    assert desk.done == []


def test_where_no_terminal_is_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        with open(os.devnull) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            shortcuts = Shortcuts({}, lambda: None)
            shortcuts.begin()
            assert not shortcuts.are_read
            shortcuts.end()

    asyncio.run(scenario())
