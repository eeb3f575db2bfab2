"""Whether another process serves the same project on this machine, as `uvicorn --workers` makes them."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

__all__ = ["Claim"]


class Claim:
    """A claim on a project folder.

    The first process that makes it holds it until it ends or lets go.
    """

    def __init__(self, root: Path) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
        self.path = Path(tempfile.gettempdir()) / f"longwave-{user}-{name}.lock"
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Return whether this process is the only one; True where that cannot be told."""
        if sys.platform == "win32":
            return True
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError:
                return True
            file = os.fdopen(descriptor, "rb+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return False
            if self._is_current(descriptor):
                self._file = file
                return True
            # Its holder took the file away between our opening and our locking it.
            file.close()

    def release(self) -> None:
        """Let go, and take the file away."""
        if self._file is not None:
            if self._is_current(self._file.fileno()):
                self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except OSError:
            return False
