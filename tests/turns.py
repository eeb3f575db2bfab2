"""Turns of the processes that `make test` runs tests in: a test marked `alone` has the machine for itself.

What measures times on the clock can judge them only while no other test is at work. So every test takes a
lock that all share, and such a test takes it for itself.
"""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

__all__ = ["Turns"]

FOLDER = Path(sys.prefix) / "turns"
"""Beside this Python: two runs of the same checkout keep out of each other's way as well."""


class Turns:
    """The turns of one process."""

    def __init__(self, folder: Path = FOLDER) -> None:
        folder.mkdir(exist_ok=True)
        # Who waits for the room holds the door; else those who share it would follow each other for ever.
        self._door = (folder / "door").open("w")
        self._room = (folder / "room").open("w")
        self._alone = False

    def enter(self, *, alone: bool) -> None:
        """Wait until a test may run."""
        if self._alone and alone:
            return
        self.leave()
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        self._alone = alone

    def leave(self) -> None:
        """Let others in."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._alone = False

    def close(self) -> None:
        """Leave for good."""
        self._room.close()
        self._door.close()
