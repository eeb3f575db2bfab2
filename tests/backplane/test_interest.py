"""The table of topics that other workers read."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwave.backplane.interest import SIZE, OwnTopics, bucket_of, open_topics


def test_another_worker_sees_what_is_listened_to_at_once(tmp_path: Path) -> None:
    own = OwnTopics(tmp_path / "a.topics")
    with open_topics(tmp_path / "a.topics") as seen:
        bucket = bucket_of("room")
        assert seen[bucket] == 0
        own.add("room")
        own.add("room")
        assert seen[bucket] == 1 and sum(bytes(seen)) == 1
        own.discard("room")
        assert seen[bucket] == 0
        own.discard("room")
    own.close()


def test_topics_of_one_hash_are_told_apart_here(tmp_path: Path) -> None:
    first = bucket_of("0")
    twin = next(str(n) for n in range(1, 50 * SIZE) if bucket_of(str(n)) == first)
    own = OwnTopics(tmp_path / "a.topics")
    with open_topics(tmp_path / "a.topics") as seen:
        own.add("0")
        own.add(twin)
        own.discard("0")
        assert seen[first] == 1
        own.discard(twin)
        assert seen[first] == 0
    own.close()


def test_any_text_can_be_a_topic() -> None:
    assert 0 <= bucket_of("\ud800") < SIZE


def test_a_file_that_is_no_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    for name in ("short", "missing"):
        with pytest.raises((OSError, ValueError)):
            open_topics(tmp_path / name)
