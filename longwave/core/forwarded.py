"""What a trusted proxy says of its client: address, scheme and host (X-Forwarded-*, RFC 7239)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from longwave.core.hosts import is_host
from longwave.types import Fields

__all__ = ["Forwarded", "TrustedProxies"]


HOPS = 64
"""Proxies in a row that are looked at: a header of nothing but trusted addresses would cost 10 ms."""


class Forwarded(NamedTuple):
    """What is believed of the client.

    None where the proxy said nothing, or nothing that can be one.
    """

    client: tuple[str, int] | None
    scheme: str | None
    host: bytes | None


class TrustedProxies:
    """Addresses and networks whose word counts; `"*"` is every address.

    Raises `ValueError` for an entry that is neither.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._all = "*" in entries
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(entry, strict=False) for entry in entries if entry != "*"
        ]

    def __bool__(self) -> bool:
        return self._all or bool(self._networks)

    def trusts(self, address: str | None) -> bool:
        """Whether an address is a proxy's; a Unix socket (None) is if anything is trusted."""
        if self._all or address is None:
            return bool(self)
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def read(self, client: tuple[str, int] | None, headers: Fields) -> Forwarded | None:
        """Return what the proxy says, or None when the peer is not to be believed.

        Of `X-Forwarded-For` the last address that is not a proxy's own counts: what stands before it came
        from the client, who may write anything.
        """
        if not self.trusts(None if client is None else client[0]):
            return None
        chain = _elements(headers, b"x-forwarded-for")
        scheme = _last(headers, b"x-forwarded-proto")
        host = _last(headers, b"x-forwarded-host")
        if not chain and scheme is None:
            chain, scheme, host = _rfc7239(headers, host)
        found = self._client(chain)
        known = scheme.lower().decode("latin-1") if scheme is not None else None
        return Forwarded(
            (found, 0) if found is not None else None,
            known if known in ("http", "https") else None,
            host if host is not None and is_host(host) else None,
        )

    def _client(self, chain: list[bytes]) -> str | None:
        address = None
        for element in reversed(chain[-HOPS:]):
            candidate = _address(element.decode("latin-1"))
            if candidate is None:
                break
            address = candidate
            if self._all or not self.trusts(candidate):
                break
        return address


def _rfc7239(headers: Fields, host: bytes | None) -> tuple[list[bytes], bytes | None, bytes | None]:
    """Read `Forwarded: for=...;proto=...;host=...`, of which the last element is the nearest proxy's."""
    chain: list[bytes] = []
    scheme = None
    for element in _elements(headers, b"forwarded"):
        for pair in element.split(b";"):
            name, _, value = pair.strip().partition(b"=")
            value = value.strip(b'" ')
            if name.lower() == b"for":
                chain.append(value)
            elif name.lower() == b"proto":
                scheme = value
            elif name.lower() == b"host":
                host = value
    return chain, scheme, host


def _address(text: str) -> str | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if ":" in text:
        # RFC 4007 section 11: a zone ("fe80::1%eth0") means something on one machine only. It may be any
        # text, which shall not get into logs as part of an address.
        text = text.partition("%")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _elements(headers: Fields, name: bytes) -> list[bytes]:
    return [
        part.strip() for key, value in headers if key == name for part in value.split(b",") if part.strip()
    ]


def _last(headers: Fields, name: bytes) -> bytes | None:
    elements = _elements(headers, name)
    return elements[-1] if elements else None
