"""What the harnesses of HTTP have in common: what a field may hold, and bodies that were read in two ways."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["check_bodies", "check_fields"]

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


def check_fields(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Check that no field holds what could mean something else elsewhere."""
    for name, value in fields:
        assert TOKEN.fullmatch(name), name
        assert VALUE.fullmatch(value), value


def check_bodies(whole: bytes, chopped: bytes, *, refused: bool) -> None:
    """Check what was handed out of the last body, read whole and in pieces."""
    if refused:
        # The data of chunks that came before a bad one in the same read is not handed out.
        assert chopped.startswith(whole), "the body differs"
    else:
        assert whole == chopped, "the body differs"
