"""Which topics a worker listens to, as a table that the other workers of the machine read directly.

A byte for each possible hash of a topic, in a file that is mapped into the memory of all: a worker that
subscribes is seen by the others before it can tell anybody that it has. A message about it could be overtaken
by the publication of a client that was welcomed meanwhile.
"""

from __future__ import annotations

import mmap
import os
from binascii import crc32
from pathlib import Path
from typing import Final

__all__ = ["OwnTopics", "bucket_of", "open_topics"]

SIZE: Final = 2**18
"""Bytes of a table. Two topics of one hash cost a publication that nobody there listens to: one of 26 with
10 000 topics."""


def bucket_of(topic: str) -> int:
    """Return the place of a topic in every table."""
    return crc32(topic.encode("utf-8", "surrogatepass")) % SIZE


def open_topics(path: Path) -> mmap.mmap:
    """Return the table of another worker.

    Raises `OSError` or `ValueError` where there is none.
    """
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)


class OwnTopics:
    """The table of this worker: the only one that it writes to."""

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, SIZE)
            self._table = mmap.mmap(file, SIZE)
        finally:
            os.close(file)
        self._buckets: dict[str, int] = {}
        self._counts: dict[int, int] = {}

    def add(self, topic: str) -> None:
        """Listen to a topic; every other worker knows at once."""
        if topic in self._buckets:
            return
        bucket = self._buckets[topic] = bucket_of(topic)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._table[bucket] = 1

    def discard(self, topic: str) -> None:
        """Listen to a topic no more."""
        bucket = self._buckets.pop(topic, None)
        if bucket is None:
            return
        self._counts[bucket] -= 1
        if not self._counts[bucket]:
            del self._counts[bucket]
            self._table[bucket] = 0

    def close(self) -> None:
        """Give the table up."""
        self._table.close()
