"""What can stand in a `Host` field."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_host"]

# RFC 3986 section 3.2.2: reg-name, IPv4address or [IPv6address]. The comma is left out of reg-name: no host
# has one, and it is how two Host fields look when something on the way joined them.
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})++)(?::[0-9]{0,5}+)?"
)


def is_host(value: bytes) -> bool:
    """Whether a value is one host name or address, and a port if any."""
    return _HOST.fullmatch(value) is not None
