"""Whether another process serves the same project on this machine, as `uvicorn --workers` makes them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["NOT_SHARED", "Claim"]

NOT_SHARED = (
    "another process serves %s on this machine: the two do not share publications. "
    "Run `longwave start --workers`, or give create_app() a backplane"
)
"""What the log says where a claim cannot be taken, with the folder."""


class Claim:
    """A claim on a project folder, by a lock on the folder itself.

    The first process that makes it holds it until it ends or lets go.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder: int | None = None

    def take(self) -> bool:
        """Return whether this process is the only one; True where that cannot be told."""
        if sys.platform == "win32":
            return True
        try:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(folder)
            # Any other: a file system without locks.
            return not isinstance(error, BlockingIOError)
        self._folder = folder
        return True

    def release(self) -> None:
        """Let go."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
