"""`Cookie` never raises and gives the first of each name; what `Set-Cookie` takes is read back the same.

`encode_cookie` raises only `ValueError`, and what it returns is one clean line with no attribute twice.
"""

from __future__ import annotations

import re
from typing import Literal

from fuzz.source import Source
from longwave.core.cookies import encode_cookie, parse_cookies

__all__ = ["check"]

NAMES = ("a", "__Host-a", "__secure-a", "", "a b", "a=b", "ä")
DOMAINS = (None, "example.com", ".example.com", "exa mple", "a;b", "")
PATHS = (None, "/", "/a", "a", "/a;b", "/ä")
SAME_SITE: tuple[Literal["strict", "lax", "none"] | None, ...] = (None, "strict", "lax", "none")
ATTRIBUTE = re.compile(
    rb"Max-Age=-?\d+|Expires=[^;=]+|Domain=[^;=]+|Path=/[^;]*|Secure|HttpOnly|SameSite=\w+|Partitioned"
)


def check(data: bytes) -> None:
    """Read the input as the lines of a field, and write a cookie of it."""
    lines = data.split(b"\n")
    expected: dict[str, str] = {}
    for pair in b";".join(lines).split(b";"):
        name, separator, value = (part.strip(b" \t") for part in pair.partition(b"="))
        if name and separator:
            if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
                value = value[1:-1]
            expected.setdefault(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    assert parse_cookies(lines) == expected
    write(Source(data))


def write(source: Source) -> None:
    """Write a cookie and read it again."""
    name = source.pick(NAMES) + (source.text() if source.byte() & 1 else "")
    value = source.text()
    flags = source.byte()
    try:
        line = encode_cookie(
            name,
            value,
            max_age=source.byte() - 1 if flags & 1 else None,
            expires=source.byte() * 16_777_259.0 if flags & 2 else None,
            path=source.pick(PATHS),
            domain=source.pick(DOMAINS),
            secure=bool(flags & 4),
            http_only=bool(flags & 8),
            same_site=source.pick(SAME_SITE),
            partitioned=bool(flags & 16),
        )
    except ValueError as error:
        assert str(error)
        return
    assert re.fullmatch(rb"[ -~]+", line), "not one line of ASCII"
    pair, *attributes = line.split(b"; ")
    assert parse_cookies([pair]) == {name: value}
    assert all(ATTRIBUTE.fullmatch(attribute) for attribute in attributes), line
    assert len({attribute.split(b"=")[0] for attribute in attributes}) == len(attributes)
