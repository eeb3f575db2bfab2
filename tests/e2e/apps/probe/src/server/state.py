"""What the routes of this project note, for the tests to ask."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

from longwave import Event, Peer

noted: Counter[str] = Counter()
latest: dict[str, float] = {}
peers: list[Peer] = []
released = asyncio.Event()


class Boom(Exception):
    """What fails on purpose; its text is the number of the error."""


def note(what: str) -> None:
    """Count something, and when it was last: the clock is the same in all processes."""
    noted[what] += 1
    latest[what] = time.monotonic()


def report(line: str) -> None:
    """Append a line to the file that is named in the environment: it is there after the end."""
    path = os.environ.get("PROBE_REPORT")
    if path is not None:
        with open(path, "a") as file:
            file.write(line + "\n")


def fail_at(event: Event, where: str) -> None:
    """Fail if the query of the request says that it is to happen here."""
    if event.query.get("fail") == where:
        raise Boom(f"boom {event.query['id']}.")
