"""Which pages may open a WebSocket: the `Origin` check of an upgrade (RFC 6455 sections 4.2.2 and 10.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from longwave.errors import HTTPError
from longwave.types import Fields

__all__ = ["check_origin"]


def check_origin(
    headers: Fields,
    scheme: str | None,
    allowed: Sequence[str] = (),
    dev: bool = False,
    required: bool = False,
) -> None:
    """Raise `HTTPError` (403) for a request of a page that may not talk to us.

    Host and port of `Origin` must be those of `Host`. `scheme` ("http" or "https") is that of the
    connection where it is known, None where a proxy may have ended TLS unseen; then only host and port
    count. `dev` also takes localhost on any port. `allowed` lists more:

    - `https://example.com:8443`: this origin;
    - `example.com`: this host, by http or https, on any port unless it names one;
    - `*.example.com`, `https://*.example.com`: every name below it, not the name itself;
    - `*`: every origin.

    A request without `Origin` does not come from a browser, and passes unless one is `required`. A doubled
    `Origin` never does.
    """
    origins = [value for name, value in headers if name == b"origin"]
    if not origins:
        if required:
            raise HTTPError(403, "there is no Origin; the setting security.require_origin asks for one")
        return
    hosts = [value for name, value in headers if name == b"host"]
    if len(origins) == 1:
        origin = origins[0].decode("latin-1").lower()
        if any(_allows(entry.lower(), origin) for entry in allowed):
            return
        parts = _split(origin)
        if parts is not None and parts[0] in _PORTS:
            if dev and parts[1] in _LOCAL:
                return
            if len(hosts) == 1 and _is_same(parts, hosts[0].decode("latin-1").lower(), scheme):
                return
    raise HTTPError(
        403,
        f"the origin {_show(origins)} is not that of the host {_show(hosts)}"
        f"{f' by {scheme}' if scheme else ''}; the setting security.origins allows more origins",
    )


def _is_same(origin: tuple[str, str, int | None], authority: str, scheme: str | None) -> bool:
    """Whether an origin is that of a `Host`; a port that is left out is the usual one of the scheme."""
    parts = _split(f"{scheme or origin[0]}://{authority}")
    if parts is None or (scheme is not None and scheme != origin[0]):
        return False
    return origin[1:] == parts[1:]


def _allows(entry: str, origin: str) -> bool:
    # A slash at the end of an entry comes from a copied address; an origin has none.
    if entry == "*" or (origin and entry in (origin, origin + "/")):
        return True
    entry = entry.rstrip("/")
    parts = _split(origin)
    if parts is None:
        return False
    scheme, host, port = parts
    if "://" in entry:
        wanted = _split(entry)
        if wanted is None or (wanted[0], wanted[2]) != (scheme, port):
            return False
    else:
        wanted = _split(f"any://{entry}")
        if wanted is None or scheme not in _PORTS or wanted[2] not in (None, port):
            return False
    name = wanted[1]
    if name.startswith("*."):
        return host.endswith(name[1:]) and len(host) >= len(name)
    return host == name


def _split(origin: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of an origin (RFC 6454 section 6.2); None for any other text."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    scheme, host, port = match.groups()
    if port is None:
        return scheme, host, _PORTS.get(scheme)
    return scheme, host, int(port)


def _show(values: Sequence[bytes]) -> str:
    return ", ".join(repr(value[:200].decode("latin-1")) for value in values[:3]) or "that is missing"


_PORTS = {"http": 80, "https": 443}
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ORIGIN = re.compile(r"([a-z][a-z0-9+.\-]*)://([a-z0-9.\-_*]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
