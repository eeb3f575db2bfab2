"""Who is alone waits for all that are in, and keeps all that come later outside."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Thread

import pytest

from tests.turns import Turns


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Turns]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Turns(tmp_path / "turns"))) for _ in range(3)]


def is_locked(file: Path) -> bool:
    with file.open("w") as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_the_turns(three: list[Turns], tmp_path: Path) -> None:
    first, alone, last = three
    order: list[str] = []

    def test(turns: Turns, name: str) -> None:
        turns.enter(alone=name == "alone")
        order.append(name)
        turns.leave()

    first.enter(alone=False)
    test(last, "beside it")
    threads = [Thread(target=test, args=(alone, "alone"))]
    threads[0].start()
    # It waits where the next one has to come by.
    until = time.monotonic() + 10
    while not is_locked(tmp_path / "turns" / "door") and time.monotonic() < until:
        time.sleep(0.001)
    threads.append(Thread(target=test, args=(last, "after it")))
    threads[1].start()
    assert order == ["beside it"]
    first.leave()
    for thread in threads:
        thread.join(10)
    assert order == ["beside it", "alone", "after it"]


def test_who_is_alone_stays_so_until_he_leaves(three: list[Turns], tmp_path: Path) -> None:
    turns, other, _ = three
    for _ in range(2):
        turns.enter(alone=True)
        assert is_locked(tmp_path / "turns" / "room")
    turns.leave()
    assert not is_locked(tmp_path / "turns" / "room")
    other.enter(alone=True)
