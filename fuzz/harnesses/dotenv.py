"""A `.env` text is read, or refused with `ConfigError` that names file and line; what was read is read again.

Expansion ends for every set of names, and leaves the real environment alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from longwave.config.dotenv import parse_env, read_env_files
from longwave.errors import ConfigError

__all__ = ["check"]

ENVIRON = {"HOME": "/h", "A": "$B"}


class Folder:
    """A folder whose `.env` is the input, and which has no other file."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data

    def __truediv__(self, name: str) -> Folder:
        return Folder(name, self.data)

    def __str__(self) -> str:
        return self.name

    def read_bytes(self) -> bytes:
        """Return the input."""
        if self.name != ".env":
            raise FileNotFoundError
        return self.data


def check(data: bytes) -> None:
    """Take the input for a file."""
    try:
        read = read_env_files(cast(Path, Folder("", data)), "dev", ENVIRON)
    except ConfigError as error:
        assert re.match(r"\.env(, line \d+)?: ", str(error)), str(error)
        assert len(str(error)) < 200, "a line that may hold a secret is shown"
        return
    assert not set(read.values) & set(ENVIRON)
    assert set(read.sources) == set(read.values)
    assert set(read.sources.values()) <= {".env"}
    variables = parse_env(data.decode("utf-8-sig"), ".env")
    assert set(variables) - set(ENVIRON) == set(read.values)
    again = parse_env("\n".join(f"{name}={quote(item.value)}" for name, item in variables.items()), "again")
    assert {name: item.value for name, item in again.items()} == {
        name: item.value for name, item in variables.items()
    }


def quote(value: str) -> str:
    """Write a value so that it is read as it is."""
    for mark in "'`":
        if mark not in value and "\r" not in value:
            return mark + value + mark
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r") + '"'
