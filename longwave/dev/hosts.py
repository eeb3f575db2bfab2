"""The names that the development server answers to.

Whoever owns a name may let it lead to this machine (DNS rebinding). A browser then takes us for that site,
and lets its pages read all that is served; only `Host` tells.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Literal

from longwave.app.event import Event
from longwave.errors import HTTPError
from longwave.routing.table import Match

__all__ = ["HostCheck", "split_host"]


class HostCheck:
    """A claim of the app that refuses every request whose `Host` is none of ours.

    Always ours are localhost, every name below it, and addresses: none of them can be pointed elsewhere.
    `allowed` lists more, exactly or as `.example.com` for a name and all below it; True is every name.
    """

    def __init__(self, allowed: Iterable[str] | Literal[True]) -> None:
        self._all = allowed is True
        self._names = () if allowed is True else tuple(name.lower() for name in allowed)

    def __call__(self, event: Event, match: Match[Any] | None) -> None:
        """Raise `HTTPError` 403 for a foreign name."""
        if self._all:
            return
        hosts = [value.decode("latin-1") for name, value in event.fields if name == b"host"]
        if len(hosts) == 1 and self.allows(split_host(hosts[0])[0]):
            return
        found = repr(hosts[0][:200]) if hosts else "that is missing"
        raise HTTPError(
            403,
            f"the host {found} is not one that this development server answers to; add its name to the "
            "setting server.allowed_hosts, or to the variable LONGWAVE_SERVER_ALLOWED_HOSTS",
        )

    def allows(self, name: str) -> bool:
        """Return whether a name, without a port, is ours."""
        name = name.lower()
        if name == "localhost" or name.endswith(".localhost") or _is_address(name):
            return True
        return any(
            name == allowed or (allowed.startswith(".") and (name == allowed[1:] or name.endswith(allowed)))
            for allowed in self._names
        )


def split_host(host: str) -> tuple[str, str]:
    """Return name and port of a `Host`; the port is empty where there is none."""
    if host.endswith("]"):
        return host, ""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon else (host, "")


def _is_address(name: str) -> bool:
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        version = ipaddress.ip_address(bare).version
    except ValueError:
        return False
    return (version == 6) == (bare != name)
