"""An origin passes exactly when a reading by `urllib` says that it is the host's or a listed one.

The only refusal is `HTTPError` 403; a doubled or foreign `Origin` never passes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from fuzz.source import Source
from longwave.core.origin import check_origin
from longwave.errors import HTTPError
from longwave.types import Fields

__all__ = ["check"]

SCHEMES = ("http", "https", "ws", "null", "HTTP", "")
HOSTS = (
    *("example.com", "a.example.com", "evil-example.com", "localhost", "127.0.0.1", "[::1]", ""),
    *("evil-localhost", "example.com.evil", "EXAMPLE.com", "localhost.", ".example.com", "*.example.com"),
)
PORTS = ("", ":80", ":443", ":8443", ":080", ":", ":99999", ":0")
ENTRIES = (
    *("https://example.com:8443", "example.com", "*.example.com", "https://*.example.com", "*"),
    *("https://example.com/", "example.com:8443", "http://localhost:3000", "[::1]", "null", "", "/", "*."),
)
_NAME = re.compile(r"[a-z0-9.\-_*]+|\[[0-9a-f:.]+\]")


def check(data: bytes) -> None:
    """Make an upgrade and the settings of the input."""
    source = Source(data)
    flags = source.byte()
    scheme = (None, "http", "https")[flags % 3]
    allowed = [source.pick(ENTRIES) for _ in range(flags >> 2 & 3)]
    dev = bool(flags & 16)
    headers: Fields = []
    for name in (b"origin", b"host", b"origin", b"host")[: 3 + bool(flags & 32) if flags & 64 else 2]:
        kind = source.byte()
        if kind & 128:
            value = source.take(source.byte() & 63)
        else:
            authority = source.pick(HOSTS) + source.pick(PORTS)
            value = (f"{source.pick(SCHEMES)}://{authority}" if name == b"origin" else authority).encode()
        if not kind & 64:
            headers.append((name, value))
    try:
        check_origin(headers, scheme, allowed, dev)
    except HTTPError as error:
        assert error.status == 403
        passed = False
    else:
        passed = True
    assert passed == reference(headers, scheme, allowed, dev), f"{'passed' if passed else 'refused'}"


def reference(headers: Fields, scheme: str | None, allowed: Sequence[str], dev: bool) -> bool:
    """Return the verdict, written again over `urlsplit`."""
    origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
    hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
    if not origins:
        return True
    if len(origins) > 1:
        return False
    origin = origins[0]
    listed = [entry.lower() for entry in allowed]
    if "*" in listed or (origin and (origin in listed or origin + "/" in listed)):
        return True
    parts = split(origin)
    if parts is None:
        return False
    if any(lists(entry, parts) for entry in listed):
        return True
    if parts[0] not in ("http", "https"):
        return False
    if dev and parts[1] in ("localhost", "127.0.0.1", "[::1]"):
        return True
    return len(hosts) == 1 and scheme in (None, parts[0]) and split(f"{parts[0]}://{hosts[0]}") == parts


def lists(entry: str, parts: tuple[str, str, int | None]) -> bool:
    """Whether an entry of the settings lists an origin."""
    scheme, host, port = parts
    entry = entry.rstrip("/")
    if "://" in entry:
        wanted = split(entry)
        if wanted is None or wanted[0] != scheme or wanted[2] != port:
            return False
    else:
        wanted = split(f"none://{entry}")
        if wanted is None or scheme not in ("http", "https") or wanted[2] not in (None, port):
            return False
    if wanted[1].startswith("*."):
        return host.endswith(wanted[1][1:]) and host[: -len(wanted[1][1:])] != ""
    return host == wanted[1]


def split(origin: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port as `urlsplit` finds them, or None for what is no origin."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        # A port above 65535 is one that nobody can have; it is compared as a number.
        match = re.fullmatch(r"([a-z][a-z0-9+.\-]*)://(.+):([0-9]{5})", origin)
        if match is None or not _NAME.fullmatch(match[2]):
            return None
        return match[1], match[2], int(match[3])
    host = parts.netloc
    if port is not None:
        host = host.rpartition(":")[0]
        if len(parts.netloc) - len(host) > 6:
            return None
    if not parts.scheme or origin != f"{parts.scheme}://{parts.netloc}" or not _NAME.fullmatch(host):
        return None
    return parts.scheme, host, {"http": 80, "https": 443}.get(parts.scheme) if port is None else port
