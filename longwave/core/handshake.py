"""The opening handshake of a WebSocket, server side (RFC 6455 section 4.2)."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Sequence
from hashlib import sha1

from longwave.core.http1_write import check_field
from longwave.errors import RequestError
from longwave.types import Fields

__all__ = [
    "accept_key",
    "check_upgrade",
    "choose_protocol",
    "encode_switch",
    "is_websocket_upgrade",
    "offered_protocols",
]


def is_websocket_upgrade(headers: Fields) -> bool:
    """Whether a request asks to become a WebSocket, in `Upgrade` and `Connection`.

    RFC 6455 section 4.2.1: both are lists, compared without regard to case. RFC 9110 section 7.8: an
    `Upgrade` that `Connection` does not name is ignored, and so is one to anything else.
    """
    return b"websocket" in _elements(headers, b"upgrade") and b"upgrade" in _elements(headers, b"connection")


def check_upgrade(method: str, http_version: str, headers: Fields) -> bytes:
    """Return the client's key, or raise `RequestError` with the refusal.

    405 for a method other than GET, 426 for a request that is no upgrade or has another version than 13,
    400 for HTTP/1.0, for a body, and for a key that is not base64 of 16 bytes.
    """
    if method != "GET":
        raise RequestError(405, f"a WebSocket begins with GET, not {method}", {"allow": "GET"})
    if http_version != "1.1":
        raise RequestError(400, f"a WebSocket needs HTTP/1.1, not HTTP/{http_version}")
    if not is_websocket_upgrade(headers):
        message = "a WebSocket needs the headers 'Upgrade: websocket' and 'Connection: Upgrade'"
        raise RequestError(426, message, {"upgrade": "websocket"})
    # What follows the head is the WebSocket; a body would be read as frames.
    if any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    ):
        raise RequestError(400, "a request to become a WebSocket has no body")
    # Section 4.4: "the server MUST ... respond with ... an appropriate HTTP error code (such as 426
    # Upgrade Required) and a Sec-WebSocket-Version header field".
    versions = _values(headers, b"sec-websocket-version")
    if len(versions) > 1:
        raise RequestError(400, "Sec-WebSocket-Version is there more than once")
    if versions != [b"13"]:
        headers_of_426 = {"sec-websocket-version": "13", "upgrade": "websocket"}
        raise RequestError(426, "Sec-WebSocket-Version must be 13", headers_of_426)
    return _check_key(_values(headers, b"sec-websocket-key"))


def accept_key(key: bytes) -> bytes:
    """Return `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2, point 5.4)."""
    return b2a_base64(sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)


def offered_protocols(headers: Fields) -> list[str]:
    """Return the subprotocols that the client offers, its favourite first.

    RFC 6455 section 4.1, point 10: they "MUST all be unique strings" of token characters; `RequestError`
    (400) where they are not.
    """
    offered: dict[str, None] = {}
    for value in _values(headers, b"sec-websocket-protocol"):
        for element in value.split(b","):
            name = element.strip(b" \t")
            if not name:
                continue
            if not _TOKEN.fullmatch(name):
                raise RequestError(400, "Sec-WebSocket-Protocol holds a name that is not a token")
            protocol = name.decode("ascii")
            if protocol in offered:
                raise RequestError(400, f"Sec-WebSocket-Protocol offers {protocol[:100]!r} twice")
            offered[protocol] = None
    return list(offered)


def choose_protocol(offered: Sequence[str], supported: Sequence[str]) -> str | None:
    """Return the first supported subprotocol that is offered; None without one."""
    if not offered or not supported:
        return None
    names = frozenset(offered)
    return next((protocol for protocol in supported if protocol in names), None)


def encode_switch(
    accept: bytes, protocol: str | None = None, extra: Fields | None = None, extensions: bytes = b""
) -> bytes:
    """Return the head of the 101 response (RFC 6455 section 4.2.2, point 5).

    `extensions` is what was negotiated, as it goes on the wire.

    Raises `ValueError` for a subprotocol or an extra field that cannot stand in a head, and for fields
    that the handshake itself sets.
    """
    lines = [_SWITCH, accept, b"\r\n"]
    if protocol is not None:
        name = protocol.encode("ascii", "replace")
        if not protocol.isascii() or not _TOKEN.fullmatch(name):
            raise ValueError(f"a subprotocol is a token (RFC 9110 section 5.6.2), not {protocol!r}")
        lines += (b"Sec-WebSocket-Protocol: ", name, b"\r\n")
    if extensions:
        lines += (b"Sec-WebSocket-Extensions: ", extensions, b"\r\n")
    for field, value in extra or ():
        name, content = check_field(field, value)
        if name in _OWN:
            raise ValueError(f"the header {name.decode()} of an accepted WebSocket cannot be set by hand")
        lines += (name, b": ", content, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _check_key(keys: list[bytes]) -> bytes:
    """Section 4.2.1, point 5: "a base64-encoded value that, when decoded, is 16 bytes in length"."""
    if len(keys) != 1:
        count = "missing" if not keys else "there more than once"
        raise RequestError(400, f"Sec-WebSocket-Key is {count}")
    key = keys[0]
    try:
        nonce = a2b_base64(key, strict_mode=True) if len(key) == 24 else b""
    except Base64Error:
        nonce = b""
    if len(nonce) != 16:
        raise RequestError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    return key


def _values(headers: Fields, name: bytes) -> list[bytes]:
    return [value for field, value in headers if field == name]


def _elements(headers: Fields, name: bytes) -> Iterator[bytes]:
    """Yield the elements of a list field in lower case, over all its lines (RFC 9110 section 5.6.1)."""
    for field, value in headers:
        if field == name:
            for element in value.lower().split(b","):
                yield element.strip(b" \t")


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)
# RFC 9110 section 5.6.2.
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110 sections 8.6 and 6.1 of RFC 9112: no length and no transfer coding in a 1xx response.
_OWN = frozenset(
    {
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"transfer-encoding",
        b"upgrade",
    }
)
