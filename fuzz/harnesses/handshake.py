"""A handshake is accepted exactly when it has all that RFC 6455 section 4.2.1 asks for, else refused.

The 101 has the key's digest and the given fields and nothing else; offered subprotocols are distinct tokens.
"""

from __future__ import annotations

import base64
import re

from websockets.utils import accept_key as their_accept_key

from fuzz.source import Source
from longwave.core.handshake import (
    accept_key,
    check_upgrade,
    choose_protocol,
    encode_switch,
    is_websocket_upgrade,
    offered_protocols,
)
from longwave.errors import RequestError
from longwave.types import Fields

__all__ = ["check"]

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
NAMES = (
    *(b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version"),
    *(b"sec-websocket-protocol", b"content-length", b"transfer-encoding", b"host", b"x-other"),
)
VALUES = (b"websocket", b"Upgrade", KEY, b"13", b"chat.v1", b"0", b"chunked", b"keep-alive, Upgrade", b"8")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
COMPLETE: Fields = list(zip(NAMES, (b"websocket", b"Upgrade", KEY, b"13"), strict=False))


def check(data: bytes) -> None:
    """Make a request of the input, and an answer."""
    source = Source(data)
    method = source.pick(("GET", "POST", "HEAD"))
    version = source.pick(("1.1", "1.0"))
    headers: Fields = list(COMPLETE) if source.byte() & 1 else []
    while source and len(headers) < 16:
        what = source.byte()
        name = NAMES[what % len(NAMES)]
        if what & 128 and headers:
            del headers[what % len(headers)]
        elif what & 64:
            headers.append((name, source.take(source.byte() & 63).strip(b" \t")))
        else:
            headers.append((name, source.pick(VALUES)))
    check_request(method, version, headers)
    check_answer(headers)


def check_request(method: str, version: str, headers: Fields) -> None:
    """Compare verdict and status with those of the RFC, in the order in which we look."""
    expected = reference(method, version, headers)
    try:
        key = check_upgrade(method, version, headers)
    except RequestError as error:
        assert error.status == expected, f"{error.status} ({error.message}), not {expected}"
        assert error.status != 405 or error.headers == {"allow": "GET"}
        if error.status == 426:
            assert error.headers["upgrade"] == "websocket"
    else:
        assert expected == 101, f"accepted, not {expected}"
        assert accept_key(key) == their_accept_key(key.decode()).encode()
        assert is_websocket_upgrade(headers)


def reference(method: str, version: str, headers: Fields) -> int:
    """Return the status of a handshake, written again and without haste."""
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        fields.setdefault(name, []).append(value)
    words = {
        name: [word.strip(b" \t").lower() for value in values for word in value.split(b",")]
        for name, values in fields.items()
    }
    if method != "GET":
        return 405
    if version != "1.1":
        return 400
    if b"websocket" not in words.get(b"upgrade", ()) or b"upgrade" not in words.get(b"connection", ()):
        return 426
    if b"transfer-encoding" in fields or set(fields.get(b"content-length", ())) - {b"0"}:
        return 400
    versions = fields.get(b"sec-websocket-version", [])
    if len(versions) > 1:
        return 400
    if versions != [b"13"]:
        return 426
    keys = fields.get(b"sec-websocket-key", [])
    try:
        # Whoever encodes what was decoded gets the same 24 characters: nothing else was in them.
        nonce = base64.b64decode(keys[0])
        good = len(keys) == 1 and len(nonce) == 16 and len(keys[0]) == 24
        good = good and keys[0][:21] == base64.b64encode(nonce)[:21] and keys[0].endswith(b"==")
    except (ValueError, IndexError):
        good = False
    return 101 if good else 400


def check_answer(headers: Fields) -> None:
    """Check offered subprotocols, and write the fields of the request as those of an answer."""
    try:
        offered = offered_protocols(headers)
    except RequestError as error:
        assert error.status == 400
        offered = []
    assert len(set(offered)) == len(offered)
    assert all(TOKEN.fullmatch(name) for name in offered)
    chosen = choose_protocol(offered, ("chat.v2", "chat.v1"))
    assert (chosen is None) == ({"chat.v1", "chat.v2"}.isdisjoint(offered)) and (chosen or "chat.v1") != ""
    own = [field for field in headers if field[0] in (b"host", b"x-other")]
    protocol = offered[0] if offered else None
    try:
        head = encode_switch(accept_key(KEY), protocol, own)
    except ValueError:
        assert any(re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value) for _, value in own)
        return
    lines = head.split(b"\r\n")
    assert lines[-2:] == [b"", b""] and b"\n" not in b"".join(lines)
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert len(lines) == 6 + len(own) + (protocol is not None)
