"""Lets pages of other servers of this machine read what is served in development: CORS, and for no one else.

A front end with a server of its own, at another port of localhost, is of another origin. What a project says
itself of CORS counts before this.
"""

from __future__ import annotations

import re
from typing import Any

from longwave.app.error_reply import encode_reply, wants_stream
from longwave.app.event import Event
from longwave.app.handlers import Next
from longwave.app.response import PassedResponse, Response
from longwave.errors import HTTPError

__all__ = ["share_with_localhost"]

ALLOWED = "access-control-allow-origin"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_is_local = re.compile(
    r"https?://(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?"
).fullmatch


async def share_with_localhost(event: Event, next: Next) -> Any:
    """Add the headers of CORS to answers for pages of localhost.

    Without credentials. A preflight that the project does not answer is answered here.
    """
    origin = event.headers.get("origin", "")
    if event.is_upgrade or not _is_local(origin):
        return None
    asks = event.method == "OPTIONS" and "access-control-request-method" in event.headers
    response: Any
    try:
        response = await next()
    except HTTPError as error:
        if error.status == 503 and wants_stream(event):
            raise
        response = PassedResponse(encode_reply(event, error, event.app.dev))
    if ALLOWED in response.headers:
        return response
    if asks and response.status in (200, 204, 404, 405, 426):
        return _preflight(event, origin)
    response.set_header(ALLOWED, origin)
    response.append_header("vary", "origin")
    return response


def _preflight(event: Event, origin: str) -> Response:
    headers = {ALLOWED: origin, "access-control-allow-methods": METHODS, "vary": "origin"}
    asked = event.headers.get("access-control-request-headers")
    if asked is not None:
        headers["access-control-allow-headers"] = asked
    return Response(status=204, headers=headers)
