"""The path of a request target in the one form that routes and files are known by."""

from __future__ import annotations

import re

from longwave.errors import RequestError

__all__ = ["decode_path", "printable"]

# RFC 3986 section 3.3: pchar without pct-encoded, and "/".
_is_plain = re.compile(rb"/[A-Za-z0-9/._~!$&'()*+,;=:@-]*").fullmatch

_HEX = "0123456789abcdefABCDEF"
_BYTES = {(a + b).encode(): bytes.fromhex(a + b) for a in _HEX for b in _HEX}
# RFC 3986 section 2.2: "/" and "%2F" are not the same; decoding it would make two segments of one.
_BYTES[b"2f"] = _BYTES[b"2F"] = b"%2F"

_NUMBER_SIGN = 0x23


def decode_path(target: bytes) -> tuple[str, str]:
    """Return the path and the query (without `?`) of a target in origin form.

    The path is percent-decoded once and then freed of `.` and `..`, which never lead above the root. An
    encoded slash stays `%2F`, in capitals, so that it separates nothing; a path that names a file must not
    hold one. Empty segments stay. The query stays encoded. The target `*` is the path `*`.

    Raises `RequestError` 400 for NUL, a backslash, `#`, a `%` without two hex digits, what is not UTF-8, and
    a target that is no path.
    """
    if _NUMBER_SIGN in target:
        raise RequestError(400, "the request target holds '#'")
    raw, _, query = target.partition(b"?")
    if _is_plain(raw):
        path = raw.decode("ascii")
    elif raw.startswith(b"/"):
        path = _decode(raw)
    elif target == b"*":
        return "*", ""
    else:
        raise RequestError(400, "the request target is not a path that begins with '/'")
    if "/." in path:
        path = _without_dots(path)
    return path, query.decode("utf-8", "replace")


def printable(text: str) -> str:
    """Return text for a log: what is not printable, line ends above all, as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _decode(raw: bytes) -> str:
    if b"%" in raw:
        first, *rest = raw.split(b"%")
        pieces = [first]
        for piece in rest:
            byte = _BYTES.get(piece[:2])
            if byte is None:
                raise RequestError(400, "the path holds a '%' without two hex digits")
            pieces.append(byte)
            pieces.append(piece[2:])
        raw = b"".join(pieces)
    if b"\0" in raw or b"\\" in raw:
        raise RequestError(400, "the path holds NUL or a backslash")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise RequestError(400, "the path is not UTF-8") from None


def _without_dots(path: str) -> str:
    # RFC 3986 section 5.2.4: a dot segment at the end leaves its slash; ".." at the root is dropped.
    segments = path.split("/")
    kept: list[str] = []
    for segment in segments[1:]:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
