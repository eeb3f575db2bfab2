"""Puts the script that listens to HMR into the pages of the development server, and serves it."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import re
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from longwave.app.event import Event
from longwave.app.response import Response
from longwave.contract import (
    Application,
    FullReply,
    Reply,
    Request,
    StreamReply,
    UpgradeReply,
    is_loopback,
)
from longwave.dev.editor import editor_command, file_inside, open_editor
from longwave.dev.hmr import ClientOptions
from longwave.dev.hosts import split_host
from longwave.dev.policy import find_nonce, find_obstacle, read_policies
from longwave.errors import HTTPError
from longwave.types import Fields
from longwave.web.static import StaticFiles, StaticReply

__all__ = ["CLIENT", "OPEN", "ClientScript", "PageFiles", "Pages", "find_place"]

CLIENT = "/_longwave/client.js"
OPEN = "/_longwave/open"
"""Takes a file and a line, and opens them in the developer's editor."""

log = logging.getLogger("longwave.dev")


class Pages:
    """What a server serves in place of an application: its pages hold the script.

    A page is HTML that a browser goes to, by itself or in a frame, whoever made it: files, handlers, errors.
    What a script fetches stays as it is, and so do streams, downloads, what is compressed or in UTF-16 or
    UTF-32, and what a Content-Security-Policy would not let connect. Its entity tag is not that of the
    page without the script. Claims may be in front: nothing below `/_longwave/` is touched.
    """

    def __init__(self, application: Application, options: ClientOptions) -> None:
        self._application = application
        self._options = options
        self._warned: set[str] = set()

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Let the application answer, and put the script into a page."""
        if request.is_upgrade or request.target.startswith(b"/_longwave/") or not _is_for_page(request):
            return self._application.handle(request)
        _ask_for_own(request)
        reply = self._application.handle(request)
        if isinstance(reply, FullReply):
            self._fill(request, reply)
            return reply
        if isinstance(reply, (StreamReply, UpgradeReply)):
            return reply
        later = asyncio.ensure_future(reply)
        # Before whoever waits for it: it is this very reply that is changed.
        later.add_done_callback(partial(self._answered, request))
        return later

    async def startup(self) -> None:
        """Start the application."""
        await self._application.startup()

    async def shutdown(self) -> None:
        """Stop the application."""
        await self._application.shutdown()

    def _answered(self, request: Request, later: asyncio.Future[Reply]) -> None:
        if later.cancelled() or later.exception() is not None:
            return
        reply = later.result()
        if isinstance(reply, FullReply):
            self._fill(request, reply)

    def _fill(self, request: Request, reply: FullReply) -> None:
        if reply.status == 304:
            reply.headers = _tagged(reply.headers)
            return
        if not _is_page(reply):
            return
        policies = read_policies(reply.headers)
        if policies and (obstacle := find_obstacle(policies, *self._addresses(request))) is not None:
            self._warn(obstacle)
            return
        tag = _script(find_nonce(policies), reply.status if request.method == "GET" else 200)
        at = find_place(reply.body)
        reply.headers = _tagged(reply.headers)
        reply.body = reply.body[:at] + tag + reply.body[at:]

    def _addresses(self, request: Request) -> tuple[str, str, str]:
        """Return the page's origin, and the addresses of script and WebSocket, as the script finds them."""
        options = self._options
        authority = (request.header(b"host") or b"localhost").decode("latin-1")
        page = f"{request.scheme}://{authority}"
        scheme = options.protocol or ("wss" if request.scheme == "https" else "ws")
        if options.host is not None or options.port is not None:
            name, port = split_host(authority)
            host = options.host or name
            host = f"[{host}]" if ":" in host and not host.startswith("[") else host
            port = str(options.port or port)
            authority = f"{host}:{port}" if port else host
        return page, page + CLIENT, f"{scheme}://{authority}/{options.path.lstrip('/')}"

    def _warn(self, obstacle: str) -> None:
        if obstacle in self._warned:
            return
        self._warned.add(obstacle)
        log.warning(
            "the Content-Security-Policy of a page (%s) does not let it listen for changes: it will not "
            "reload by itself. In development allow 'self'%s",
            obstacle,
            f" and the port {self._options.port} in connect-src" if self._options.port else "",
        )


class PageFiles:
    """A source of the app: HTML files, whole, where a browser goes to them.

    Elsewhere large files are read in pieces, and parts of files are served.
    """

    def __init__(self, root: Path) -> None:
        self._files = StaticFiles(root / "public", root / "index.html")

    def __call__(self, event: Event, match: Any) -> FullReply | Awaitable[FullReply] | None:
        """Return a page, or None for what is none."""
        if event.is_upgrade or not _is_for_page(event.request):
            return None
        found = self._files.find(event.path, event.method)
        if found is None or not found.content_type.startswith("text/html"):
            return None
        fields = [field for field in event.fields if field[0] not in (b"range", b"if-range")]
        # The server leaves out the body of an answer to HEAD, and knows its length.
        reply = self._files.respond(found, fields, "GET")
        return reply if isinstance(reply, FullReply) else _whole(reply)


class ClientScript:
    """A claim: the script, and what it asks for beside its WebSocket.

    It holds the token, so no page of another origin may have it: neither by reading it nor by running it.
    Whether the host is ours is for a claim before this one.
    """

    def __init__(self, options: ClientOptions, root: Path) -> None:
        self._token = options.token.encode()
        self._root = root
        # In a script `<` is the same in both forms, and cannot end an element that it stands in.
        inlined = json.dumps(structs.asdict(options)).replace("<", "\\u003c")
        self._script = Path(__file__).with_name("client.js").read_text().replace("__OPTIONS__", inlined, 1)

    def __call__(self, event: Event, match: Any) -> Response | None:
        """Answer what is asked for at these two paths; raises `HTTPError` for whom it is not meant."""
        if event.is_upgrade or event.path not in (CLIENT, OPEN):
            return None
        method = "POST" if event.path == OPEN else "GET"
        if event.method != method and (event.path == OPEN or event.method != "HEAD"):
            raise HTTPError(405, headers={"allow": method if method == "POST" else "GET, HEAD"})
        if event.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise HTTPError(403, "this is for pages of the same origin")
        if event.path == OPEN:
            return self._open(event)
        headers = {"cache-control": "no-cache", "cross-origin-resource-policy": "same-origin", **NOSNIFF}
        return Response(self._script, headers=headers, content_type="text/javascript; charset=utf-8")

    def _open(self, event: Event) -> Response:
        given = event.headers.get("x-longwave-token", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._token):
            raise HTTPError(403, "the token of this page is missing or old: reload the page")
        if not is_loopback(event.remote_address):
            raise HTTPError(403, "an editor opens for pages of its own machine")
        path = file_inside(self._root, event.query.get("file", ""))
        if path is None:
            raise HTTPError(404, "no file of the project has this name")
        line = event.query.get("line", "1")
        command = editor_command(os.environ, path, int(line) if _LINE.fullmatch(line) else 1)
        if command is None or not open_editor(command):
            raise HTTPError(501, "no editor is known, or it cannot be started: set LONGWAVE_EDITOR")
        return Response(status=204)


def find_place(body: bytes) -> int:
    """Return where the script goes: first in the head, if there is one.

    After a byte order mark, comments and the doctype; after an import map, which must come before the first
    module.
    """
    found = _PROLOGUE.match(body)
    place = found.end() if found is not None else 0
    maps = [found.end() for found in _IMPORT_MAP.finditer(body, place)]
    end = _SCRIPT_END.search(body, maps[-1]) if maps else None
    return place if end is None else end.end()


NOSNIFF: Final = {"x-content-type-options": "nosniff"}
SUFFIX: Final = b"-longwave"
"""What the entity tag of a page with the script has at its end."""
FETCHED: Final = frozenset({b"x-requested-with", b"hx-request", b"turbo-frame"})
"""What scripts say that ask for parts of a page."""
FRAMES: Final = (b"document", b"iframe", b"frame")
WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00")
"""How documents begin that are not written in bytes of ASCII."""

_LINE: Final = re.compile(r"[1-9][0-9]{0,8}")
_TAG: Final = re.compile(rb'(W/)?"([^"]*)"')
# A quote counts after `=` alone.
_ATTRIBUTES = rb"""(?:[\s/](?:=\s*+"[^"]*+"|=\s*+'[^']*+'|[^>])*+)?+>"""
_SPACE = rb"(?:\s++|<!--.*?-->|<\?[^>]*+>)*+"
_PROLOGUE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?+" + _SPACE + rb"(?:<!doctype[^>]*+>)?+"
    rb"(?:" + _SPACE + rb"<html" + _ATTRIBUTES + rb")?+(?:" + _SPACE + rb"<head" + _ATTRIBUTES + rb")?+",
    re.IGNORECASE | re.DOTALL,
)
_IMPORT_MAP: Final = re.compile(rb"""<script\s[^<>]*?\btype\s*=\s*["']?importmap\b[^<>]*+>""", re.IGNORECASE)
_SCRIPT_END: Final = re.compile(rb"</script\s*>", re.IGNORECASE)


def _is_for_page(request: Request) -> bool:
    """Whether a browser goes to a page, rather than a script asking for data."""
    destination = request.header(b"sec-fetch-dest")
    if destination is not None:
        return destination in FRAMES
    # Browsers say where it goes to servers that they trust: by TLS, or on their own machine.
    if any(name in FETCHED for name, _ in request.headers):
        return False
    return b"text/html" in (request.header(b"accept") or b"")


def _is_page(reply: FullReply) -> bool:
    """Whether a whole reply is HTML that the script may be put into."""
    if reply.status < 200 or 300 <= reply.status < 400 or reply.status == 206 or not reply.body:
        return False
    fields = dict(reply.headers)
    kind, _, parameters = fields.get(b"content-type", b"").lower().partition(b";")
    if kind.strip() != b"text/html" or b"utf-16" in parameters or b"utf-32" in parameters:
        return False
    if reply.body.startswith(WIDE) or reply.body[1:2] == b"\x00":
        return False
    if fields.get(b"content-encoding", b"identity").lower() != b"identity":
        return False
    return not fields.get(b"content-disposition", b"").lower().startswith(b"attachment")


def _script(nonce: str | None, status: int) -> bytes:
    by = f' nonce="{nonce}"' if nonce is not None else ""
    # The page of an error is of no use once that is mended.
    of = f' data-longwave-status="{status}"' if status >= 400 else ""
    return f'<script type="module" src="{CLIENT}"{by}{of}></script>'.encode()


def _tagged(headers: Fields) -> Fields:
    """Return headers whose entity tag is that of a page with the script."""
    return [
        (name, _TAG.sub(rb'\1"\2' + SUFFIX + b'"', value, count=1) if name == b"etag" else value)
        for name, value in headers
    ]


def _ask_for_own(request: Request) -> None:
    """Let the application see the tags of its own pages.

    What the browser keeps of a page without the script does not count.
    """
    end = SUFFIX + b'"'
    for name, value in request.headers:
        if name == b"if-none-match" and value.strip() != b"*":
            tags = [found[0] for found in _TAG.finditer(value)]
            own = [tag.removesuffix(end) + b'"' for tag in tags if tag.endswith(end)]
            request.replace_header(name, b", ".join(own) or b'"-"')
            return


async def _whole(reply: StaticReply) -> FullReply:
    headers = [field for field in reply.headers if field[0] != b"content-length"]
    return FullReply(reply.status, headers, b"".join([piece async for piece in reply.body]))
