"""Runs a program for as long as whoever started this lives, also where that one is killed.

A program of its own, with nothing but the standard library: `python leash.py PROGRAM ...`. Its standard input
is the leash: when that ends, the program is told to end, and then everything of its process group is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

__all__ = ["GRACE", "main"]

GRACE = 0.5
"""Seconds that the program has to end: Ctrl-C is done within one."""


def main(command: Sequence[str]) -> int:
    """Run a program; return its exit code, or 128 and the signal that ended it."""
    # Ours alone: handlers are not handed down, unlike signals that are ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    # Programs that listen to their input, as Vite does, end when it ends.
    try:
        child = subprocess.Popen(command, stdin=subprocess.PIPE)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return 127
    threading.Thread(target=_hold, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _hold(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass
    # It may have left others behind.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
