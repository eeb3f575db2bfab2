"""Only a trusted peer is believed, and of its chain only the last address that is not a proxy's own.

Only an entry that is no network raises (`ValueError`); what is believed is well-formed.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from fuzz.source import Source
from longwave.core.forwarded import TrustedProxies
from longwave.types import Fields

__all__ = ["check"]

ENTRIES = ("127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "*", "10.1.2.3/8", "localhost", "", "1.2.3")
CLIENTS = (("127.0.0.1", 1), ("10.9.9.9", 2), ("192.0.2.1", 3), ("::1", 4), ("fe80::1%eth0", 5), ("", 0))
NAMES = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"host")
ELEMENTS = (
    *(b"10.0.0.1", b"203.0.113.7", b"[2001:db8::1]:443", b"203.0.113.7:99", b"unknown", b"::1", b"1.2.3"),
    *(b"https", b"HTTP", b"wss", b"a.example", b'for="[2001:db8::1]:1";proto=https', b"for=10.0.0.1;host=b"),
)


def check(data: bytes) -> None:
    """Make settings, a peer and its fields of the input."""
    source = Source(data)
    entries = [source.pick(ENTRIES) for _ in range(source.byte() % 4)]
    try:
        proxies = TrustedProxies(entries)
    except ValueError:
        assert {"localhost", "", "1.2.3"} & set(entries)
        return
    which = source.byte()
    client = None if which >= 250 else CLIENTS[which % len(CLIENTS)]
    headers: Fields = []
    while source and len(headers) < 8:
        name = source.pick(NAMES)
        parts = [
            source.take(source.byte() & 31) if kind >= 192 else ELEMENTS[kind % len(ELEMENTS)]
            for kind in (source.byte() for _ in range(source.byte() % 4))
        ]
        headers.append((name, b",".join(parts)))
    believed = proxies.read(client, headers)
    assert (believed is not None) == trusted(entries, None if client is None else client[0])
    if believed is None:
        return
    assert believed.scheme in (None, "http", "https")
    if believed.client is not None:
        address = believed.client[0]
        assert str(ip_address(address)) == address and set(address) <= set("0123456789abcdef.:")
        assert believed.client[1] == 0
        check_chain(entries, headers, address)


def check_chain(entries: list[str], headers: Fields, address: str) -> None:
    """Check that nothing to the right of the address that is believed is a stranger."""
    chain = [part.strip() for name, value in headers if name == NAMES[0] for part in value.split(b",")]
    if not any(chain) or "*" in entries:
        return
    for element in reversed([part for part in chain if part]):
        text = element.decode("latin-1")
        if address in text or "[" in text or '"' in text or text.count(":") != 1:
            try:
                here = str(ip_address(text.strip('" ').strip("[]")))
            except ValueError:
                return  # a spelling that this reading does not know
        else:
            here = text.partition(":")[0]
        here = here.partition("%")[0]
        if here == address:
            return
        assert trusted(entries, here), f"{address} is believed, but {here} stands behind it"


def trusted(entries: list[str], address: str | None) -> bool:
    """Whether settings name an address."""
    if "*" in entries or address is None:
        return bool(entries)
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in ip_network(entry, strict=False) for entry in entries)
