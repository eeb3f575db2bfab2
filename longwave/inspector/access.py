"""Who may see the inspector: in development this machine, else who knows the token."""

from __future__ import annotations

import hmac
import logging
import secrets
from asyncio import sleep
from collections.abc import Awaitable
from time import monotonic, time
from typing import Protocol

from longwave.app.event import Event
from longwave.app.response import Response
from longwave.app.upgrade import check_page
from longwave.contract import Address, is_loopback
from longwave.core.paths import printable
from longwave.errors import HTTPError

__all__ = ["Access", "LocalAccess", "TokenAccess"]

error_log = logging.getLogger("longwave.error")

COOKIE = "longwave_inspector"
LASTS = 12 * 3600
"""Seconds until a browser has to be told the token again."""
ATTEMPTS = 10
"""Wrong tokens of one address in a span; then it is refused until the span is over."""
SPAN = 60.0
MOST_ADDRESSES = 1000
DELAY = 0.5
"""Seconds until a wrong token is answered."""
MOST_FORM = 4096


class Access(Protocol):
    """Lets in, or does not."""

    def page_token(self, event: Event) -> str | None:
        """Return what a page needs to connect; None for whom there is a form instead.

        Raises `HTTPError` for whom there is neither.
        """

    def check_socket(self, event: Event) -> None:
        """Raise `HTTPError` 401 or 403 for a WebSocket that is not to be."""

    def sign_in(self, event: Event) -> Awaitable[Response]:
        """Answer the form."""


class LocalAccess:
    """Lets in the browsers of this machine; others as `others` does, if there is any.

    Every page is given a token, another one at each start: so only who can read pages can connect.
    """

    def __init__(self, others: Access | None = None) -> None:
        self._token = secrets.token_urlsafe(24)
        self._others = others

    def page_token(self, event: Event) -> str | None:
        """Return the token, to this machine."""
        others = self._for_others(event)
        return self._token if others is None else others.page_token(event)

    def check_socket(self, event: Event) -> None:
        """Check where it comes from, origin and token."""
        others = self._for_others(event)
        if others is not None:
            others.check_socket(event)
            return
        check_page(event.app, event)
        if not _is_same(_query_token(event), self._token):
            raise HTTPError(403, "the token of this page is missing or old: reload the page")

    async def sign_in(self, event: Event) -> Response:
        """Answer the form of others; this machine is shown none."""
        others = self._for_others(event)
        if others is None:
            raise HTTPError(405, "there is nothing to sign in to", headers={"allow": "GET, HEAD"})
        return await others.sign_in(event)

    def _for_others(self, event: Event) -> Access | None:
        if is_loopback(event.remote_address):
            return None
        if self._others is None:
            raise HTTPError(403, "the inspector is for this machine alone: for others set inspector.token")
        return self._others


class TokenAccess:
    """Lets in whoever has the token, as `Authorization: Bearer` or by a form.

    After the form a cookie stands for it. Cookie and page hold what is made of the token: neither tells it,
    and every process knows them.
    """

    def __init__(self, token: str) -> None:
        self._key = token.encode()
        self._failures = _Failures()

    def page_token(self, event: Event) -> str | None:
        """Return a token that goes with the cookie; `Authorization` needs none."""
        if self._is_bearer(event):
            return ""
        cookie = self._cookie(event)
        return None if cookie is None else self._sign("page", cookie)

    def check_socket(self, event: Event) -> None:
        """Check the origin, and the cookie with its page's token; or `Authorization`."""
        check_page(event.app, event)
        if self._is_bearer(event):
            return
        cookie = self._cookie(event)
        if cookie is None:
            raise HTTPError(401, "the inspector wants its token", headers=CHALLENGE)
        if not _is_same(_query_token(event), self._sign("page", cookie)):
            raise HTTPError(403, "the token of this page is missing or old: reload the page")

    async def sign_in(self, event: Event) -> Response:
        """Give a cookie for the token; a wrong one is answered late, and counted."""
        check_page(event.app, event)
        self._failures.check(event.remote_address)
        size = event.headers.get("content-length", "")
        if not size.isdigit() or int(size) > MOST_FORM:
            raise HTTPError(413, f"expected a form of at most {MOST_FORM} bytes")
        given = (await event.form()).get("token", "")
        if not isinstance(given, str) or not _is_same(given, self._key.decode()):
            self._failed(event)
            await sleep(DELAY)
            raise HTTPError(401, "this is not the token of the inspector", headers=CHALLENGE)
        folder = f"{event.request.prefix}/_longwave/"
        until = str(int(time()) + LASTS)
        response = Response(status=303, headers={"location": folder})
        response.set_cookie(
            COOKIE,
            f"{until}.{self._sign('cookie', until)}",
            max_age=LASTS,
            path=folder,
            secure=event.scheme == "https",
            http_only=True,
            same_site="strict",
        )
        return response

    def _cookie(self, event: Event) -> str | None:
        """Return the cookie of a request that is ours and not too old."""
        cookie = event.cookies.get(COOKIE, "")
        until, _, signature = cookie.partition(".")
        if not until.isascii() or not until.isdigit() or not _is_same(signature, self._sign("cookie", until)):
            return None
        return cookie if int(until) > time() else None

    def _is_bearer(self, event: Event) -> bool:
        """Whether `Authorization` has the token; raises `HTTPError` 401 or 429 for a wrong one."""
        scheme, _, given = event.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        self._failures.check(event.remote_address)
        if not _is_same(given.strip(), self._key.decode()):
            self._failed(event)
            raise HTTPError(401, "this is not the token of the inspector", headers=CHALLENGE)
        return True

    def _failed(self, event: Event) -> None:
        self._failures.add(event.remote_address)
        who = "a Unix socket" if event.remote_address is None else printable(event.remote_address[0])
        error_log.warning("the inspector was asked for with a wrong token, from %s", who)

    def _sign(self, what: str, text: str) -> str:
        return hmac.digest(self._key, f"longwave-inspector {what} {text}".encode(), "sha256").hex()


class _Failures:
    """Wrong tokens by address, of so many addresses at most."""

    def __init__(self) -> None:
        self._spans: dict[str, tuple[float, int]] = {}

    def check(self, address: Address | None) -> None:
        """Raise `HTTPError` 429 for an address with too many of them."""
        ends, count = self._span(address)
        if count >= ATTEMPTS:
            wait = max(1, round(ends - monotonic()))
            raise HTTPError(429, "too many wrong tokens", headers={"retry-after": str(wait)})

    def add(self, address: Address | None) -> None:
        """Count one."""
        ends, count = self._span(address)
        name = _name(address)
        self._spans.pop(name, None)
        self._spans[name] = ends, count + 1
        if len(self._spans) > MOST_ADDRESSES:
            del self._spans[next(iter(self._spans))]

    def _span(self, address: Address | None) -> tuple[float, int]:
        now = monotonic()
        ends, count = self._spans.get(_name(address), (0.0, 0))
        return (ends, count) if ends > now else (now + SPAN, 0)


def _name(address: Address | None) -> str:
    return "" if address is None else address[0]


def _query_token(event: Event) -> str:
    return str(event.query.get("token", ""))


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


CHALLENGE = {"www-authenticate": 'Bearer realm="longwave inspector"'}
