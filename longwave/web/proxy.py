"""`proxy_request`: answers a request with what another HTTP server answers, streaming both ways."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from longwave.app.event import Event
from longwave.app.iterators import BodyStream
from longwave.app.response import HeadersInit, PassedResponse, encode_fields
from longwave.contract import FullReply, StreamReply
from longwave.errors import UpstreamError
from longwave.types import Fields
from longwave.web.targets import Target, clean_target, end_to_end, forwarded_fields, parse_target

if TYPE_CHECKING:
    import ssl

__all__ = ["Rewrite", "proxy_request"]

error_log = logging.getLogger("longwave.error")

Rewrite: TypeAlias = str | Mapping[str, str]
"""What a cookie's domain or path becomes: any of them, or each by its old value, `*` being any other."""

CONNECT: Final = 10.0
"""Seconds to connect, as crossws has for WebSockets; nginx has 60."""
TIMEOUT: Final = 30.0
"""Seconds without a byte before the head of the answer. nginx: 60."""
IDLE: Final = 300.0
"""Seconds without a byte in the middle of an answer: longer than any heartbeat of an event stream."""


async def proxy_request(
    event: Event,
    target: str,
    *,
    headers: HeadersInit = (),
    filter_headers: Iterable[str] = (),
    forward_headers: Iterable[str] = (),
    forwarded: bool = True,
    secure: bool | ssl.SSLContext = True,
    connect_timeout: float = CONNECT,
    timeout: float = TIMEOUT,
    idle_timeout: float = IDLE,
    cookie_domain_rewrite: Rewrite | None = None,
    cookie_path_rewrite: Rewrite | None = None,
    rewrite_location: bool = False,
    on_response: Callable[[PassedResponse], Any] | None = None,
) -> PassedResponse:
    """Ask another server what this one was asked, and return its answer, as it comes.

    `target` is a URL, `http://`, `https://` or `http+unix:///run/app.sock:/path`. Without a path it gets that
    of the request, and its query; one with a path is asked exactly that. Method, body and fields go along;
    those that are for one connection alone do not, nor does `Host` unless `forward_headers` names it.
    `forwarded` tells who asked, in place of what the client claims. Time-outs are in seconds, 0 is off.

    Raises `UpstreamError`, which is a 502 or a 504, `HTTPError` for a request that must not be handed on, and
    `ValueError` for a target that is no URL.
    """
    upstream = parse_target(target, ("http", "https"))
    path = upstream.path or clean_target(event.request.target)
    path = f"/{path}" if path.startswith("?") else path
    fields = _request_fields(event, upstream, forward_headers, filter_headers, forwarded, headers)
    try:
        reply = await _ask(event, upstream, path, fields, secure, (connect_timeout, timeout, idle_timeout))
    except UpstreamError as error:
        reason = f" ({error.__cause__!r})" if error.__cause__ is not None else ""
        error_log.warning("%s %s: %s: %s%s", event.method, event.path, upstream, error.message, reason)
        raise
    for name, rewrite in (("domain", cookie_domain_rewrite), ("path", cookie_path_rewrite)):
        if rewrite is not None:
            reply.headers = _rewrite_cookies(reply.headers, name, rewrite)
    if rewrite_location:
        reply.headers = _rewrite_location(reply.headers, upstream)
    response = PassedResponse(reply)
    if on_response is not None:
        try:
            changed = on_response(response)
            if hasattr(changed, "__await__"):
                await changed
        except BaseException:
            if isinstance(reply, StreamReply):
                reply.session.closed(1006, "")
            raise
    return response


async def _ask(
    event: Event,
    upstream: Target,
    path: str,
    fields: Fields,
    secure: bool | ssl.SSLContext,
    times: tuple[float, float, float],
) -> FullReply | StreamReply:
    # httptools and ssl are not for programs that never proxy.
    from longwave.web.http_client import HttpClient, UpstreamBody, tls_of

    connect, timeout, idle = times
    client = HttpClient(upstream, event.app.limits, timeout=timeout, idle=idle)
    has_body = event.request.body is not None
    await client.connect(connect, tls_of(secure, upstream))
    try:
        head = await client.ask(event.method, path, fields, event.chunks() if has_body else None)
    except BaseException:
        client.abort()
        raise
    kept = end_to_end(head.fields)
    if not head.has_body:
        client.abort()
        return FullReply(head.status, kept)
    return StreamReply(head.status, kept, BodyStream(event.app.runtime, UpstreamBody(client)), "body")


def _request_fields(
    event: Event,
    upstream: Target,
    forward: Iterable[str],
    drop: Iterable[str],
    forwarded: bool,
    headers: HeadersInit,
) -> Fields:
    """Return the request's fields for the upstream; those that are given win over those that came."""
    given = encode_fields(headers)
    hosts = [field for field in event.fields if field[0] == b"host"]
    kept = {name.lower() for name in forward}
    # Whether the client waits for `100 Continue` is between it and us.
    names = [*_CLAIMS, *drop, "host", "expect", *(name.decode() for name, _ in given)]
    fields = end_to_end(event.fields, *names)
    if not any(name == b"host" for name, _ in given):
        own = [(b"host", upstream.authority.encode())]
        fields = (hosts if "host" in kept and hosts else own) + fields
    if event.request.body is None:
        fields = [field for field in fields if field[0] != b"content-length"]
        if event.method in ("POST", "PUT", "PATCH"):
            # RFC 9110 section 8.6: those mean something with an empty body too.
            fields.append((b"content-length", b"0"))
    if forwarded:
        fields += forwarded_fields(event)
    if any(name in (b"content-length", b"transfer-encoding", b"connection") for name, _ in given):
        raise ValueError("the framing of a proxied request is not set by hand")
    return fields + given


def _rewrite_cookies(fields: Fields, attribute: str, rewrite: Rewrite) -> Fields:
    """Change, or with an empty text remove, an attribute of each cookie that is set."""
    pattern = re.compile(rf"(;\s*{attribute}=)([^;]*)".encode(), re.IGNORECASE)

    def change(match: re.Match[bytes]) -> bytes:
        old = match[2].decode("latin-1").strip()
        new = rewrite if isinstance(rewrite, str) else rewrite.get(old, rewrite.get("*", old))
        return match[1] + new.encode("latin-1") if new else b""

    return [(name, pattern.sub(change, value) if name == b"set-cookie" else value) for name, value in fields]


def _rewrite_location(fields: Fields, upstream: Target) -> Fields:
    """Make what leads back to the upstream lead back to us."""
    origin = upstream.origin.encode()

    def change(value: bytes) -> bytes:
        rest = value[len(origin) :] if value.lower().startswith(origin) else None
        if rest is None or (rest and rest[:1] not in b"/?#"):
            return value
        return rest if rest.startswith(b"/") and not rest.startswith(b"//") else b"/" + rest.lstrip(b"/")

    return [(name, change(value) if name == b"location" else value) for name, value in fields]


_CLAIMS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
