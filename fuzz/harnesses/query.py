"""Queries and urlencoded bodies are read as a plain reading with `urllib` reads them, field by field.

The only refusal is `HTTPError` 400, for too many fields, and in bodies for a `%` without two hex digits.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from longwave.core.query import parse_pairs, parse_query
from longwave.errors import HTTPError

__all__ = ["check"]


def check(data: bytes) -> None:
    """Take the input for a query and for a body, with room for 1 to 16 fields or for all."""
    most = data[0] % 17 or 1000 if data else 1000
    raw = data[1:]
    too_many = raw.count(b"&") >= most
    expected = [
        (decode(name), decode(value))
        for field in raw.split(b"&")
        if field
        for name, _, value in [field.partition(b"=")]
    ]
    try:
        query = parse_query(raw, max_fields=most)
    except HTTPError as error:
        assert error.status == 400
        assert too_many, "refused for no reason"
    else:
        assert not too_many
        assert {name: query.get_all(name) for name in query} == grouped(expected)
        assert all(query[name] == values[0] for name, values in grouped(expected).items())
        assert parse_query(raw.decode("utf-8", "surrogateescape"), max_fields=most) is not None
    try:
        pairs = parse_pairs(raw, "form fields", most)
    except HTTPError as error:
        assert error.status == 400
        assert too_many or re.search(rb"%(?![0-9A-Fa-f]{2})", raw), "refused for no reason"
    else:
        assert not too_many
        assert pairs == expected, f"{pairs} is not {expected}"


def decode(data: bytes) -> str:
    """Decode one name or value."""
    return unquote_to_bytes(data.replace(b"+", b" ")).decode("utf-8", "replace")


def grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return all values of each name."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
