"""Cookies: `Cookie` is read leniently, `Set-Cookie` written strictly (RFC 6265).

Values are passed as they are in both directions: nothing is percent-decoded or encoded, so that what was set
is what is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from longwave.core.http_dates import format_date

__all__ = ["encode_cookie", "parse_cookies"]

# RFC 9110 section 5.6.2: token.
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# RFC 6265 section 4.1.1: cookie-octet, and av-octet for the path.
_is_value = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch
_is_path = re.compile(r"/[\x20-\x3a\x3c-\x7e]*").fullmatch
_is_domain = re.compile(r"\.?[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*").fullmatch

_SAME_SITE = {"strict": b"Strict", "lax": b"Lax", "none": b"None"}


def parse_cookies(values: Iterable[bytes]) -> dict[str, str]:
    """Return the cookies of a request's `Cookie` field lines.

    Of one name the first counts. Never raises: what is no `name=value` is left out, what is not UTF-8
    becomes U+FFFD. Double quotes around a whole value are taken off.
    """
    cookies: dict[str, str] = {}
    for line in values:
        for pair in line.split(b";"):
            name, separator, value = pair.partition(b"=")
            name = name.strip(b" \t")
            if not name or not separator:
                continue
            value = value.strip(b" \t")
            if len(value) >= 2 and value[0] == value[-1] == 0x22:
                value = value[1:-1]
            cookies.setdefault(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    return cookies


def encode_cookie(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: float | datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = False,
    same_site: Literal["strict", "lax", "none"] | None = None,
    partitioned: bool = False,
) -> bytes:
    """Return the value of a `Set-Cookie` field.

    `max_age` is in seconds, 0 or less deletes; `expires` is in seconds since 1970 or a `datetime` with a time
    zone. Raises `ValueError` for characters that a cookie cannot hold, and for what every browser refuses:
    `same_site="none"`, `partitioned` and the name prefixes `__Secure-` and `__Host-` without what they ask.
    """
    if not _is_name(name):
        raise ValueError(f"a cookie's name is letters, digits and !#$%&'*+-.^_`|~, not {name!r}")
    if not _is_value(value):
        raise ValueError(
            f"the value of cookie {name!r} holds a character that cookies cannot hold (a space, a control"
            ' character, non-ASCII, or one of " , ; \\): percent-encode it, or use base64url'
        )
    if same_site is not None and same_site not in _SAME_SITE:
        raise ValueError(f"same_site of cookie {name!r} is 'strict', 'lax' or 'none', not {same_site!r}")
    _check_browser_rules(name, secure, path, domain, same_site, partitioned)
    parts = [f"{name}={value}".encode("ascii")]
    if max_age is not None:
        if not isinstance(max_age, int) or isinstance(max_age, bool):
            raise ValueError(f"max_age of cookie {name!r} is a whole number of seconds, not {max_age!r}")
        parts.append(b"Max-Age=%d" % max_age)
    if expires is not None:
        parts.append(b"Expires=" + format_date(_seconds(name, expires)))
    if domain is not None:
        if not _is_domain(domain):
            raise ValueError(f"domain of cookie {name!r} is an ASCII host name, not {domain!r}")
        parts.append(b"Domain=" + domain.encode("ascii"))
    if path is not None:
        if not _is_path(path):
            raise ValueError(f"path of cookie {name!r} is printable ASCII from '/' on, no ';', not {path!r}")
        parts.append(b"Path=" + path.encode("ascii"))
    if secure:
        parts.append(b"Secure")
    if http_only:
        parts.append(b"HttpOnly")
    if same_site is not None:
        parts.append(b"SameSite=" + _SAME_SITE[same_site])
    if partitioned:
        parts.append(b"Partitioned")
    return b"; ".join(parts)


def _check_browser_rules(
    name: str, secure: bool, path: str | None, domain: str | None, same_site: str | None, partitioned: bool
) -> None:
    # draft-ietf-httpbis-rfc6265bis, sections 4.1.2.7 and 4.1.3; prefixes are compared without case there.
    lowered = name.lower()
    if not secure:
        for asked, what in (
            (same_site == "none", "same_site='none'"),
            (partitioned, "partitioned=True"),
            (lowered.startswith("__secure-"), "the prefix __Secure-"),
            (lowered.startswith("__host-"), "the prefix __Host-"),
        ):
            if asked:
                raise ValueError(f"cookie {name!r}: {what} needs secure=True, or browsers ignore the cookie")
    if lowered.startswith("__host-") and (domain is not None or path != "/"):
        raise ValueError(f"cookie {name!r}: the prefix __Host- needs path='/' and no domain")


def _seconds(name: str, expires: float | datetime) -> float:
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise ValueError(f"expires of cookie {name!r} needs a time zone, as in datetime.now(UTC)")
        return expires.timestamp()
    return expires
