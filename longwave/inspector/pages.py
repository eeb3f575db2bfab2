"""The inspector's page and its files as they are served, and the form that asks for the token."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from longwave.app.event import Event
from longwave.app.response import HTML, Response
from longwave.errors import HTTPError
from longwave.inspector.access import CHALLENGE, Access
from longwave.inspector.protocol import PROTOCOL

__all__ = ["PAGE", "SOCKET", "answer_page", "asks_socket"]

PAGE = "/_longwave/"
SOCKET = "/_longwave/inspector"
FILES = f"{SOCKET}/"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PLACE = b"$token"
"""What stands for the token in the page."""

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # `no-referrer` lets browsers send the form with `Origin: null`
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def answer_page(event: Event, access: Access) -> Any:
    """Answer a request for the page, its files or its form, or return None.

    Raises `HTTPError`.
    """
    path = event.path
    if path == PAGE.rstrip("/"):
        return Response(status=307, headers={"location": f"{event.request.prefix}{PAGE}"})
    if path == PAGE and event.method == "POST":
        return _sign_in(event, access)
    if path != PAGE and not path.startswith(FILES):
        return None
    if event.method not in ("GET", "HEAD"):
        raise HTTPError(405, "the inspector's page is read only", headers={"allow": "GET, HEAD"})
    if path == PAGE:
        return _page(access.page_token(event))
    name = path.removeprefix(FILES)
    data = _files().get(name)
    if data is None or name == "page.html":
        raise HTTPError(404, "the inspector has no such file")
    return Response(data, headers=HEADERS, content_type=TYPES[Path(name).suffix])


def asks_socket(event: Event, offered: list[str]) -> bool:
    """Whether a request is for the WebSocket of the page, and for nothing else."""
    return event.is_upgrade and event.path == SOCKET and offered == [PROTOCOL]


def _page(token: str | None) -> Response:
    if token is None:
        return _form(401, CHALLENGE)
    return Response(_files()["page.html"].replace(PLACE, token.encode()), headers=HEADERS, content_type=HTML)


async def _sign_in(event: Event, access: Access) -> Response:
    try:
        return await access.sign_in(event)
    except HTTPError as error:
        return _form(error.status, error.headers, error.message)


def _form(status: int, headers: Mapping[str, str], message: str = "") -> Response:
    said = f'<p role="alert">{escape(message)}</p>' if message else ""
    return Response(FORM.replace("$message", said), status, {**HEADERS, **headers}, content_type=HTML)


@cache
def _files() -> dict[str, bytes]:
    """Return the files of the page by their names; read once, and none but these are served."""
    folder = Path(__file__).parent
    return {path.name: path.read_bytes() for path in folder.glob("page*") if path.suffix in (*TYPES, ".html")}


FORM = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Longwave inspector</title>
<link rel="icon" href="inspector/page.svg">
<link rel="stylesheet" href="inspector/page.css">
</head>
<body>
<main class="sign-in">
<h1>Longwave inspector</h1>
$message
<form method="post">
<p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p><button>Show</button></p>
<p>It is the setting <code>inspector.token</code> of this server.</p>
</form>
</main>
</body>
</html>
"""
