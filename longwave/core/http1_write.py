"""HTTP/1.1 responses as bytes (RFC 9112 sections 4 to 7); the date is given, no clock is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from longwave.types import Fields

__all__ = [
    "CONTINUE",
    "LAST_CHUNK",
    "asks_close",
    "check_field",
    "chunk",
    "encode_error",
    "encode_head",
    "encode_response",
    "error_body",
    "has_body",
    "stream_framing",
]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The interim response that a client with `Expect: 100-continue` waits for."""

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a chunked body."""


def encode_response(
    status: int,
    headers: Fields,
    body: bytes = b"",
    *,
    head_only: bool = False,
    keep_alive: bool = True,
    http_version: str = "1.1",
    date: bytes = b"",
) -> bytes:
    """Return a whole response; `content-length` is that of the body.

    `head_only` is for HEAD: the length is told, the body left out. A status that has no body loses it.
    `date` is an IMF-fixdate, empty for none. `http_version` is that of the request. Framing is settled here:
    a handler's `transfer-encoding` is dropped, and so is its `content-length`, but for the length of the body
    that HEAD and 304 do not send; its `connection` may ask to close, which `asks_close` tells the server.
    Raises `ValueError` for a field that is no field, so that nothing can be injected.
    """
    length: int | None = len(body)
    keep_length = False
    if head_only or not has_body(status):
        # RFC 9110 section 8.6: no Content-Length in 1xx and 204; in 304 and for HEAD it is that of the body
        # which is not sent, if it is known.
        if status == 204 or status < 200:
            length = None
        elif status == 205:
            length = 0  # RFC 9110 section 15.3.6
        elif not body and (status == 304 or _given_length(headers)):
            length = None
            keep_length = True
        body = b""
    head = _encode(status, headers, length, False, keep_alive, http_version, date, keep_length)
    return head + body if body else head


def encode_head(
    status: int,
    headers: Fields,
    *,
    chunked: bool = False,
    keep_alive: bool = True,
    http_version: str = "1.1",
    date: bytes = b"",
) -> bytes:
    """Return the head of a streamed response; `stream_framing` tells what to pass.

    A `content-length` in `headers` is kept when the body is not chunked. Raises as `encode_response` does.
    """
    keep_length = not chunked and status >= 200 and status != 204
    return _encode(status, headers, None, chunked, keep_alive, http_version, date, keep_length)


def encode_error(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    *,
    date: bytes = b"",
    head_only: bool = False,
) -> bytes:
    """Return the JSON answer to a request that the server itself refuses.

    The connection closes after it.
    """
    fields = [(b"content-type", b"application/json")]
    fields += [check_field(name, value) for name, value in (headers or {}).items()]
    body = error_body(status, message)
    return encode_response(status, fields, body, head_only=head_only, keep_alive=False, date=date)


def error_body(status: int, message: str) -> bytes:
    """Return the JSON that says why a request was refused."""
    import json  # a millisecond of each start, for what most processes never do

    return json.dumps({"error": True, "status": status, "message": message}).encode()


def has_body(status: int) -> bool:
    """Return whether a status may have a body (RFC 9110 section 6.4.1)."""
    return status >= 200 and status not in _BODILESS


def stream_framing(
    status: int, headers: Fields, *, http_version: str, head_only: bool, keep_alive: bool
) -> tuple[bool, bool]:
    """Return whether a streamed body is chunked, and whether the connection lives on.

    RFC 9112 section 6.3: without a length and without chunks, which HTTP/1.0 does not know, a body ends
    with its connection.
    """
    if not has_body(status) or _given_length(headers):
        return False, keep_alive
    if http_version == "1.0":
        return False, keep_alive and head_only
    return True, keep_alive


def asks_close(headers: Fields) -> bool:
    """Return whether the fields of a response ask for the connection to close."""
    return any(name.lower() == b"connection" and b"close" in _tokens(value) for name, value in headers)


def chunk(data: bytes) -> bytes:
    """Return data as one chunk; nothing for no data: an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def check_field(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes]:
    """Return a response field as bytes, its name in lower case, or raise `ValueError`.

    RFC 9110 section 5.1 and 5.5: a name is a token; a value has no control characters (CR, LF and NUL would
    inject), and is latin-1. Space around the value is dropped.
    """
    raw_name = _latin_1(name, "header name")
    if _TOKEN.fullmatch(raw_name) is None:
        raise ValueError(f"a header name must be made of letters, digits and !#$%&'*+-.^_`|~, not {name!r}")
    raw_value = _latin_1(value, f"value of the header {raw_name.decode()}").strip(b" \t")
    if raw_value.translate(None, _TEXT):
        raise ValueError(
            f"the value of the header {raw_name.decode()} must not hold control characters: {value!r}"
        )
    return raw_name.lower(), raw_value


def _encode(
    status: int,
    headers: Fields,
    length: int | None,
    chunked: bool,
    keep_alive: bool,
    http_version: str,
    date: bytes,
    keep_length: bool,
) -> bytes:
    """Return a head. `keep_length`: a `content-length` of the handler stays when there is no `length`."""
    parts = [_STATUS_LINES.get(status) or _status_line(status)]
    options: list[bytes] = []
    for name, value in headers:
        prefix = _PREFIXES.get(name)
        if prefix is None:
            name, value = check_field(name, value)
            if name == b"content-length":
                if keep_length:
                    length = _given(value, length)
                continue
            if name == b"transfer-encoding":
                continue
            if name == b"connection":
                options += _tokens(value)
                continue
            if name == b"upgrade":
                options.append(b"upgrade")  # RFC 9110 section 7.8: it must be named in Connection
            elif name == b"date":
                date = b""  # RFC 9110 section 6.6.1: one is enough, and a handler may know better
            prefix = b"\r\n%b: " % name
        parts.append(prefix + value)
    if length is not None:
        parts.append(b"\r\ncontent-length: %d" % length)
    elif chunked:
        parts.append(b"\r\ntransfer-encoding: chunked")
    if date:
        parts.append(b"\r\ndate: " + date)
    if not keep_alive or http_version == "1.0" or options:
        parts += _connection(options, keep_alive, http_version)
    parts.append(b"\r\n\r\n")
    head = b"".join(parts)
    # One line end before each part but the first, and two in the last; a value that holds another, or any
    # control character, leaves more.
    if head.translate(None, _TEXT) != b"\r\n" * len(parts):
        for name, value in headers:
            check_field(name, value)
        raise ValueError("the date of a response must not hold control characters")
    return head


def _connection(options: list[bytes], keep_alive: bool, http_version: str) -> list[bytes]:
    """Return the Connection line, if there must be one; a handler may ask for `close` in `options`."""
    named = [option for option in dict.fromkeys(options) if option not in (b"", b"close", b"keep-alive")]
    if not keep_alive or b"close" in options:
        named.append(b"close")
    elif http_version == "1.0":
        named.append(b"keep-alive")  # RFC 9112 section 9.3: 1.0 closes unless both sides say otherwise
    return [b"\r\nconnection: " + b", ".join(named)] if named else []


def _given(value: bytes, before: int | None) -> int:
    if before is not None or not value.isdigit():
        raise ValueError(f"content-length must be one decimal number, not {value!r}")
    return int(value)


def _status_line(status: int) -> bytes:
    if not 100 <= status <= 599:
        raise ValueError(f"a status must be a number from 100 to 599, not {status!r}")
    return b"HTTP/1.1 %d " % status  # RFC 9112 section 4: the phrase may be empty, its space may not


def _given_length(headers: Fields) -> bool:
    return any(name.lower() == b"content-length" for name, _ in headers)


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t") for token in value.lower().split(b",")]


def _latin_1(text: str | bytes, what: str) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the {what} must be latin-1 text, not {text!r}") from None


_TEXT: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_BODILESS: Final = frozenset((204, 205, 304))
_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
# Names that need no check, with what stands around them.
_PREFIXES: Final = {
    name: b"\r\n%b: " % name
    for name in (
        b"accept-ranges access-control-allow-credentials access-control-allow-headers "
        b"access-control-allow-methods access-control-allow-origin access-control-expose-headers "
        b"access-control-max-age age allow cache-control content-disposition content-encoding "
        b"content-language content-range content-security-policy content-type etag expires last-modified "
        b"link location referrer-policy retry-after server set-cookie strict-transport-security vary "
        b"www-authenticate x-accel-buffering x-content-type-options x-frame-options x-request-id"
    ).split()
}
