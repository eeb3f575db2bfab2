"""What a page's Content-Security-Policy lets a script of ours do (CSP Level 3).

Where browsers differ, or the answer is not clear, it is no: a page without our script works.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from longwave.types import Fields

__all__ = ["find_nonce", "find_obstacle", "read_policies"]

Policy = Mapping[str, Sequence[str]]
"""Directives, each with its sources."""


def read_policies(headers: Fields) -> list[Policy]:
    """Return the policies of a response that are enforced."""
    values = [value.decode("latin-1") for name, value in headers if name == b"content-security-policy"]
    return [_read(policy) for value in values for policy in value.split(",") if policy.strip()]


def find_nonce(policies: Sequence[Policy]) -> str | None:
    """Return the nonce by which scripts are let in, if there is one."""
    for policy in policies:
        for source in _sources(policy, *SCRIPT) or ():
            if (found := _NONCE.fullmatch(source)) is not None:
                return found[1]
    return None


def find_obstacle(policies: Sequence[Policy], page: str, script: str, socket: str) -> str | None:
    """Return the directive that is in the way of a script, or None.

    The script has the page's nonce, and is to run and to open a WebSocket. `page` is the origin of the page,
    the others are whole addresses.
    """
    nonce = find_nonce(policies)
    for policy in policies:
        sandbox = policy.get("sandbox")
        if sandbox is not None and not {"allow-scripts", "allow-same-origin"} <= set(sandbox):
            return "sandbox"
        sources = _sources(policy, *SCRIPT)
        if sources is not None and f"'nonce-{nonce}'" not in sources:
            if "'strict-dynamic'" in sources or not _allows(sources, page, script):
                return "script-src"
        sources = _sources(policy, "connect-src", "default-src")
        if sources is not None and not _allows(sources, page, socket):
            return "connect-src"
    return None


SCRIPT: Final = ("script-src-elem", "script-src", "default-src")
PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# What else an address may be where a source has this scheme.
SECURER: Final = {"http": {"http", "https"}, "https": {"https"}, "ws": {"ws", "wss"}, "wss": {"wss"}}

_NONCE: Final = re.compile(r"'nonce-([A-Za-z0-9+/_=-]+)'", re.IGNORECASE)
_SOURCE: Final = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://)?(\*|(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}|\*))?(/.*)?",
    re.IGNORECASE,
)


def _read(policy: str) -> dict[str, list[str]]:
    directives: dict[str, list[str]] = {}
    for directive in policy.split(";"):
        words = directive.split()
        if words:
            # The first of a name counts.
            directives.setdefault(words[0].lower(), words[1:])
    return directives


def _sources(policy: Policy, *names: str) -> Sequence[str] | None:
    return next((policy[name] for name in names if name in policy), None)


def _allows(sources: Sequence[str], page: str, address: str) -> bool:
    try:
        origin, url = urlsplit(page), urlsplit(address)
        _port(origin), _port(url)
    except ValueError:
        return False  # no host that there could be
    return any(_matches(source, origin, url) for source in sources)


def _matches(source: str, origin: SplitResult, url: SplitResult) -> bool:
    if source == "*":
        return True
    if source.lower() == "'self'":
        # A page's own WebSockets are of its own origin too.
        plain = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
        return (
            plain in SECURER[origin.scheme]
            and url.hostname == origin.hostname
            and (_port(url) == _port(origin))
        )
    if source.endswith(":") and "/" not in source:
        return url.scheme in SECURER.get(source[:-1].lower(), ())
    found = _SOURCE.fullmatch(source)
    if found is None:
        return False
    scheme, host, port, path = found.groups()
    if url.scheme not in SECURER.get((scheme or origin.scheme).lower(), ()):
        return False
    return (
        _is_host(host.lower(), url.hostname or "")
        and (port == "*" or int(port or PORTS[url.scheme]) == _port(url))
        and _is_path(path, url.path)
    )


def _port(url: SplitResult) -> int:
    return url.port or PORTS[url.scheme]


def _is_host(host: str, name: str) -> bool:
    if host.startswith("*"):
        return host == "*" or name.endswith(host[1:])
    return host.strip("[]") == name


def _is_path(path: str | None, asked: str) -> bool:
    if not path or path == "/":
        return True
    return asked.startswith(path) if path.endswith("/") else asked == path
