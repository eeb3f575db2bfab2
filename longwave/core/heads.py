"""The head of one request: its line and fields, checked strictly (RFC 9112 sections 3, 5 and 6)."""

from __future__ import annotations

import re
from typing import Final

import httptools
from msgspec import Struct

from longwave.core.hosts import is_host
from longwave.errors import RequestError
from longwave.limits import Limits
from longwave.types import Fields

__all__ = [
    "Head",
    "check_request_line",
    "headers_too_long",
    "line_too_long",
    "parse_fields",
    "parse_head",
]


class Head(Struct):
    """A request head that was read and checked."""

    method: str
    target: bytes
    """Origin form, or `*` for OPTIONS; absolute form is reduced to it."""
    http_version: str
    """"1.1" or "1.0"."""
    headers: Fields
    raw: bytes
    """The head as bytes, for `parse_fields`: its line, its fields and the empty line."""
    keep_alive: bool
    """Whether the client lets the connection live on after the response."""
    is_upgrade: bool
    """Whether it asks for a WebSocket; `core/handshake.py` checks the rest."""
    expects_continue: bool
    """Whether the client waits for `100 Continue` before it sends the body."""
    has_body: bool
    content_length: int | None
    """As it was given; None for a chunked body and for none."""


def parse_head(raw: bytes, limits: Limits) -> Head:
    """Check one whole head, from its request line to its empty line.

    Raises `RequestError`: 414 and 431 beyond the limits, 413 for a body that is said to be too long, 505
    for another HTTP version, 405 for CONNECT, 417 for an unknown expectation, else 400.
    """
    line_end = raw.find(b"\r\n")
    match = check_request_line(raw, line_end, limits)
    line_count = raw.count(b"\n")
    if len(raw) - line_end - 4 > limits.headers:
        raise headers_too_long(limits)
    if line_count - 2 > limits.header_count:
        message = f"the request has more than {limits.header_count} fields of headers"
        raise RequestError(431, message, limit="limits.header_count")
    # RFC 9110 section 5.5: CR, LF and NUL are dangerous, other control characters invalid. What is left
    # without text must be the line ends; llhttp sees to it that CR and LF stand together.
    if raw.translate(None, _TEXT) != b"\r\n" * line_count:
        raise RequestError(400, "a header holds a control character, or a line that does not end with CRLF")
    method, target, minor = match.groups()
    name = _METHODS.get(method) or _other_method(method)
    fields = parse_fields(raw)
    special: dict[bytes, bytes] = {}
    for field, value in fields:
        if field in _SPECIAL:
            # RFC 9110 section 5.3: repeated fields are one list. None of those that must be alone allows a
            # comma, so that one test finds them doubled in either way.
            special[field] = special[field] + b"," + value if field in special else value
    version = "1.1" if minor == b"1" else "1.0"
    host = special.get(b"host")
    if host is None:
        if version == "1.1":
            raise RequestError(400, "an HTTP/1.1 request must have one Host header")
    elif not is_host(host):
        raise RequestError(400, "the Host header must be one host name or address, and a port if any")
    if target[0] != 0x2F:
        target, raw, fields = _origin_form(method, target, minor, raw, fields)
    length = _body_length(special, version, limits)
    options = _tokens(special[b"connection"]) if b"connection" in special else ()
    is_upgrade = (
        b"upgrade" in special and b"upgrade" in options and b"websocket" in _tokens(special[b"upgrade"])
    )
    if is_upgrade and length != 0 and name == "GET":
        # RFC 9110 section 7.8 lets the new protocol begin after the body; no client sends one, and servers
        # that disagree about where it ends can be played against each other.
        raise RequestError(400, "a WebSocket handshake must not have a body")
    return Head(
        name,
        target,
        version,
        fields,
        raw,
        b"close" not in options and (version == "1.1" or b"keep-alive" in options),
        is_upgrade,
        b"expect" in special and _expects_continue(special[b"expect"], version, length),
        length != 0,
        length if b"content-length" in special else None,
    )


def parse_fields(raw: bytes) -> Fields:
    """Return the fields of a head: lower-case names, values without space around them.

    Raises `RequestError` (400) for what llhttp refuses.
    """
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # how httptools says that there is an Upgrade header
    except httptools.HttpParserError as error:
        raise RequestError(400, f"the request cannot be read: {error}") from None
    return collector.fields


def check_request_line(held: bytes | bytearray, end: int, limits: Limits, at: int = 0) -> re.Match[bytes]:
    """Check the request line at `held[at:end]`, before its CRLF; its parts are groups."""
    if end - at > limits.request_line:
        raise line_too_long(limits)
    match = _REQUEST_LINE.match(held, at)
    if match is None:
        line = bytes(held[at:end])
        if _OTHER_VERSION.fullmatch(line):
            raise RequestError(505, "this server speaks HTTP/1.1 and HTTP/1.0")
        raise RequestError(400, "the request line must be `METHOD target HTTP/1.1`, with one space between")
    return match


def line_too_long(limits: Limits) -> RequestError:
    """Return the error for a request line past its limit."""
    message = f"the request line is longer than {limits.request_line} bytes"
    return RequestError(414, message, limit="limits.request_line")


def headers_too_long(limits: Limits) -> RequestError:
    """Return the error for a header block past its limit."""
    message = f"the request has more than {limits.headers} bytes of headers"
    return RequestError(431, message, limit="limits.headers")


class _Collector:
    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # RFC 9112 section 5: space after the value is not part of it; llhttp leaves it there.
        self.fields.append((_NAMES.get(name) or name.lower(), value.rstrip()))


def _other_method(method: bytes) -> str:
    if method == b"CONNECT":
        raise RequestError(405, "this server is no proxy", {"Allow": ", ".join(_METHODS.values())})
    return method.decode("ascii")


def _tokens(value: bytes) -> list[bytes]:
    """Split a list field; RFC 9110 section 7.6.1: connection options are case-insensitive."""
    return [token.strip(b" \t") for token in value.lower().split(b",")]


def _body_length(special: dict[bytes, bytes], version: str, limits: Limits) -> int:
    """Return the length of the body, 0 when there is none, -1 when it is chunked."""
    coding = special.get(b"transfer-encoding")
    length = special.get(b"content-length")
    if coding is not None:
        # RFC 9112 section 6.1 and 6.3: each of these "ought to be handled as an error".
        if length is not None:
            raise RequestError(400, "a request must not have both Content-Length and Transfer-Encoding")
        if version == "1.0":
            raise RequestError(400, "an HTTP/1.0 request must not have Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise RequestError(400, "the only Transfer-Encoding that this server reads is one `chunked`")
        return -1
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None or (size := int(length)) >= 2**63:
        raise RequestError(400, "Content-Length must be one decimal number below 2^63")
    if size > limits.body:
        raise RequestError(413, f"the body is longer than {limits.body} bytes", limit="limits.body")
    return size


def _expects_continue(value: bytes, version: str, length: int) -> bool:
    if version == "1.0":
        return False  # RFC 9110 section 10.1.1: ignored in an HTTP/1.0 request
    if value.lower() != b"100-continue":
        raise RequestError(417, "the only expectation that this server knows is 100-continue")
    return length != 0


def _origin_form(
    method: bytes, target: bytes, minor: bytes, raw: bytes, fields: Fields
) -> tuple[bytes, bytes, Fields]:
    """Reduce a target in another form; return it with the head and the fields that it then has."""
    if target == b"*":
        if method != b"OPTIONS":
            raise RequestError(400, "the target `*` is for OPTIONS only")
        return target, raw, fields
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not is_host(match[1]):
        raise RequestError(400, "the target must be a path, or an http address with a host and no user")
    authority, path = match.groups()
    if path[:1] != b"/":
        # RFC 9112 section 3.2.4: OPTIONS for an address without path and query means the server.
        path = b"*" if method == b"OPTIONS" and not path else b"/" + path
    # RFC 9112 section 3.2.2: the Host field MUST be ignored in favour of the target's authority.
    fields = [(b"host", authority), *(field for field in fields if field[0] != b"host")]
    lines = [b"%b %b HTTP/1.%b" % (method, path, minor), *(b"%b: %b" % field for field in fields)]
    return path, b"\r\n".join(lines) + b"\r\n\r\n", fields


_TEXT: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
# RFC 9112 section 3 allows to be lenient about space here; two servers that are lenient in different ways
# see different requests. A fragment ("#") is never part of a target.
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) ([!\"$-~]++) HTTP/1\.([01])\r\n")
_OTHER_VERSION: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++ [!-~]++ HTTP/(?!1\.[01])[0-9]\.[0-9]")
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*+)(.*+)")
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")
_SPECIAL: Final = frozenset(
    (b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect")
)
_METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
# Names that need no check and no new object, as Chrome, Firefox, curl and proxies write them.
_NAMES: Final = {
    spelling: name.lower()
    for name in (
        b"Accept Accept-Encoding Accept-Language Access-Control-Request-Headers "
        b"Access-Control-Request-Method Authorization Cache-Control Connection Content-Encoding "
        b"Content-Length Content-Type Cookie DNT Expect Forwarded Host If-Match If-Modified-Since "
        b"If-None-Match If-Range Last-Event-ID Origin Pragma Priority Range Referer Sec-CH-UA "
        b"Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site "
        b"Sec-Fetch-User Sec-GPC Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol "
        b"Sec-WebSocket-Version TE Transfer-Encoding Upgrade Upgrade-Insecure-Requests User-Agent Via "
        b"X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Real-IP X-Request-ID X-Requested-With"
    ).split()
    for spelling in (name, name.lower(), name.title())
}
