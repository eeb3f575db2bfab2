"""News of what is served: who hears it, what stands, and its way from worker to supervisor."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from longwave.dev.failures import Failure
from longwave.dev.feed import (
    Failed,
    Feed,
    News,
    Page,
    Restart,
    Swapped,
    decode_news,
    encode_news,
    file_names,
)

SWAPPED = Swapped(
    ("a.py",), 0.01, 2, ("/a",), ("/b",), (), True, 3, 1, 2, (Failure("no", "c.py", 1, "x"),), mended=True
)
FAILED = Failed(("a.py",), Failure("no", "a.py", 2, "1 / 0"))


NEXT = Failed(("b.py",), Failure("no next"), is_next=True)


@pytest.mark.parametrize(
    "news", [SWAPPED, FAILED, NEXT, Restart(("a.py", "b.py"), "a plugin"), Page(("a.css",), True, 2)]
)
def test_news_go_through_json(news: News) -> None:
    assert decode_news(json.loads(json.dumps(encode_news(news)))) == news


def test_subscribers_hear_until_they_end_it() -> None:
    feed, one, two = Feed(), list[News](), list[News]()
    feed.subscribe(one.append)
    end = feed.subscribe(two.append)
    feed.tell(FAILED)
    end()
    end()
    feed.tell(SWAPPED)
    assert (one, two) == ([FAILED, SWAPPED], [FAILED])


def test_a_subscriber_that_fails_keeps_nothing_from_others(caplog: pytest.LogCaptureFixture) -> None:
    feed, heard = Feed(), list[News]()

    def fail(news: News) -> None:
        raise LookupError("gone")

    feed.subscribe(fail)
    feed.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "longwave.dev"):
        feed.tell(FAILED)
    assert heard == [FAILED]
    assert "LookupError" in caplog.text


def test_who_comes_late_reads_what_stands() -> None:
    first = Failure("broken from the start")
    feed = Feed([first])
    assert standing(feed) == (None, (first,))
    feed.tell(FAILED)
    assert standing(feed) == (FAILED.failure, (first,))
    feed.tell(Restart((), "a plugin"))
    assert standing(feed) == (FAILED.failure, (first,))
    feed.tell(SWAPPED)
    assert standing(feed) == (None, SWAPPED.problems)


def test_what_a_next_worker_is_in_the_way_of_stands_over_swaps() -> None:
    feed = Feed()
    feed.tell(FAILED)
    assert feed.standing == FAILED.failure
    feed.tell(NEXT)
    assert (feed.standing, feed.failure) == (NEXT.failure, FAILED.failure)
    feed.tell(Swapped((), 0))
    assert (feed.standing, feed.failure) == (NEXT.failure, None)
    assert (Feed().standing, Feed([FAILED.failure]).standing) == (None, FAILED.failure)


def test_news_do_not_come_back_to_who_they_are_from() -> None:
    feed, one, two = Feed(), list[News](), list[News]()
    forward = one.append
    feed.subscribe(forward)
    feed.subscribe(two.append)
    feed.tell(NEXT, forward)
    assert (one, two) == ([], [NEXT])


def test_names_of_files(tmp_path: Path) -> None:
    assert file_names({tmp_path / "b" / "c.py", tmp_path / "a.py"}, tmp_path) == ("a.py", "b/c.py")
    assert file_names([Path("/elsewhere/a.py")], tmp_path) == ("/elsewhere/a.py",)


def standing(feed: Feed) -> tuple[Failure | None, tuple[Failure, ...]]:
    return feed.failure, feed.problems
