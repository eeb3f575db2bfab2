"""What a proxy asks: the address of an upstream, the path as it may be handed on, and the fields.

RFC 9110 section 7.6 says what an intermediary does to a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from longwave.app.event import Event
from longwave.errors import HTTPError
from longwave.types import Fields

__all__ = ["Target", "clean_target", "end_to_end", "forwarded_fields", "parse_target"]

PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}
"""Usual ports, by scheme."""


class Target(Struct, frozen=True):
    """The address of an upstream.

    `path` is path and query as they go into the request, empty where the address has none. `socket` is the
    path of a Unix socket, in place of host and port.
    """

    scheme: str
    host: str
    port: int
    path: str
    socket: str | None = None

    @property
    def is_secure(self) -> bool:
        """Whether the connection is one of TLS."""
        return self.scheme in ("https", "wss")

    @property
    def authority(self) -> str:
        """What `Host` says: host, and port where it is not the usual one."""
        if self.socket is not None:
            return "localhost"
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin that `Location` and `Origin` would name, with the scheme of HTTP."""
        return f"{'https' if self.is_secure else 'http'}://{self.authority}"

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket is not None else f"{self.scheme}://{self.authority}"


def parse_target(text: str, schemes: Iterable[str]) -> Target:
    """Return the upstream of a URL.

    `http://host:8000/path?query` or `http+unix:///run/app.sock:/path`. Raises `ValueError` for another
    scheme, and for what cannot stand in a request: users, fragments, spaces, anything but ASCII.
    """
    scheme, _, rest = text.partition("://")
    plain = scheme.lower().removesuffix("+unix")
    known = tuple(schemes)
    if plain not in known or not rest:
        begins = " or ".join(f"{name}://" for name in known)
        raise ValueError(f"a target is a URL that begins with {begins}, not {text!r}")
    if not _VISIBLE.fullmatch(rest):
        raise ValueError(f"a target is percent-encoded ASCII without a fragment: {text!r}")
    if plain != scheme.lower():
        socket, _, path = rest.partition(":")
        if not socket.startswith("/") or "?" in socket:
            raise ValueError(f"a target on a Unix socket is {plain}+unix:///path/of.sock:/path, not {text!r}")
        return Target(plain, "localhost", 0, _rooted(path), socket)
    match = _AUTHORITY.match(rest)
    if match is None or int(match["port"] or 0) > 65535:
        raise ValueError(f"a target has one host and a port if any, no user: {text!r}")
    host = (match["host"] or match["address"]).lower()
    port = int(match["port"]) if match["port"] else PORTS[plain]
    return Target(plain, host, port, _rooted(rest[match.end() :]))


def clean_target(target: bytes) -> str:
    """Return a request target as it may be handed on: without dot segments.

    A proxy that forwards `/api/../admin` would let out of `/api` who may only go there. Raises `HTTPError`
    400 where an upstream that decodes an encoded slash would find dot segments: `/api/..%2fadmin`.
    """
    raw, question, query = target.decode("latin-1").partition("?")
    if not raw.isascii():
        raw = _encode(raw)
    if "." in raw or "%" in raw:
        kept: list[str] = []
        segments = raw.split("/")[1:]
        for index, segment in enumerate(segments):
            decoded = unquote_to_bytes(segment)
            if decoded in (b".", b".."):
                if decoded == b".." and kept:
                    kept.pop()
                if index == len(segments) - 1:
                    kept.append("")
                continue
            if b"/" in decoded and any(part in (b".", b"..") for part in decoded.split(b"/")):
                raise HTTPError(400, "the path holds dot segments behind an encoded slash")
            kept.append(segment)
        raw = "/" + "/".join(kept)
    return f"{raw}{question}{_encode(query)}"


def end_to_end(fields: Fields, *others: str) -> Fields:
    """Return the fields that are for the other end, and not for this connection.

    The others are the ones that RFC 9110 section 7.6.1 lists, those that `Connection` names, and `others`.
    """
    dropped = {*_HOP_BY_HOP, *(name.lower().encode() for name in others)}
    for name, value in fields:
        if name == b"connection":
            dropped.update(option.strip().lower() for option in value.split(b","))
    return [field for field in fields if field[0] not in dropped]


def forwarded_fields(event: Event) -> Fields:
    """Return what tells an upstream who asked: `x-forwarded-for`, `-proto`, `-host`."""
    address = event.remote_address
    fields = [(b"x-forwarded-for", address[0].encode("latin-1"))] if address is not None else []
    fields.append((b"x-forwarded-proto", event.scheme.encode()))
    host = event.request.header(b"host")
    if host is not None:
        fields.append((b"x-forwarded-host", host))
    return fields


def _rooted(path: str) -> str:
    return path if not path or path.startswith("/") else "/" + path


def _encode(text: str) -> str:
    return text if text.isascii() else "".join(c if c < "\x80" else f"%{ord(c):02X}" for c in text)


_VISIBLE: Final = re.compile(r"[!\"$-~]+")
_AUTHORITY: Final = re.compile(
    r"(?:(?P<host>[A-Za-z0-9._~\-]+)|\[(?P<address>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?(?=[/?]|\Z)"
)
_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
