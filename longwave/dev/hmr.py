"""Tells open pages what changed: the HMR WebSocket, with Vite's payloads (`payloads.py`).

A page is let in by exact path, subprotocol and token; every other upgrade goes to the routes, also one at the
same path. What a page says is not looked at.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from msgspec import Struct

from longwave.app.app import App, Source
from longwave.app.error_reply import encode_reply
from longwave.app.event import Event
from longwave.app.service import ServiceSocket
from longwave.app.upgrade import check_page, read_protocols
from longwave.config.settings import HmrSettings
from longwave.contract import Reply, Request
from longwave.dev.failures import Failure
from longwave.dev.feed import Failed, Feed, News, Page, Restart, Swapped, file_names
from longwave.dev.hosts import split_host
from longwave.dev.payloads import Payload, error_payload, page_payloads, restart_payload, swapped_payload
from longwave.errors import HTTPError
from longwave.routing.table import Match

__all__ = ["PATH", "PING", "PROTOCOL", "ClientOptions", "Hmr", "HmrApplication", "client_options", "hmr_path"]

PATH = "/_longwave/hmr"
PROTOCOL = "longwave-hmr"
PING = "longwave-ping"
"""Asks whether the server is there again, and is closed at once. A page whose token is old may ask too."""
PATIENCE = 0.05
"""Seconds that a file which is gone, or empty, has to be written: editors save in several steps."""


class ClientOptions(Struct, frozen=True):
    """What the script in a page needs to connect.

    `port`, `host` and `protocol` are those of the page itself where they are None. `direct` is the port that
    is listened at, for a page that came through a proxy which hands no WebSocket on. `timeout` is in seconds,
    between two pings.
    """

    path: str
    token: str
    port: int | None = None
    host: str | None = None
    protocol: Literal["ws", "wss"] | None = None
    direct: int | None = None
    timeout: float = 30.0
    overlay: bool = True


def client_options(
    settings: HmrSettings, token: str, *, own_port: int | None = None, page_port: int | None = None
) -> ClientOptions:
    """Return what pages are given.

    `own_port` is that of a socket of its own, `page_port` that of the pages; None is a Unix socket.
    """
    return ClientOptions(
        path=hmr_path(settings),
        token=token,
        port=settings.client_port or own_port,
        host=settings.host,
        protocol=settings.protocol,
        direct=own_port or page_port,
        timeout=settings.timeout,
        overlay=settings.overlay,
    )


def hmr_path(settings: HmrSettings) -> str:
    """Return the path of the WebSocket: `vite-hmr` in a file is `/vite-hmr`."""
    return PATH if settings.path is None else "/" + settings.path.removeprefix("/")


class Hmr:
    """The pages that listen, and what they are told.

    `claim` is for `App.add_claim`. `page_port` is the port of the pages where this listens at another one.
    """

    def __init__(
        self, feed: Feed, root: Path, path: str, token: str, *, page_port: int | None = None
    ) -> None:
        self._feed = feed
        self._root = root.resolve()
        self._path = path
        self._token = token.encode()
        self._page_port = page_port
        self._pages: dict[ServiceSocket, None] = {}
        feed.subscribe(self._hear)

    def claim(self, event: Event, match: Match[Any] | None) -> Any:
        """Let a page in, or return None for what is not ours; raises `HTTPError` 403."""
        if not event.is_upgrade or event.path != self._path:
            return None
        protocol = _protocol_of(event)
        if protocol is None:
            return None
        if self._page_port is not None:
            host = split_host(event.host)[0]
            event.request.replace_header(b"host", f"{host}:{self._page_port}".encode("latin-1"))
        check_page(event.app, event)
        if protocol == PING:
            return ServiceSocket("the HMR ping", opened=ServiceSocket.close).accept(PING)
        is_browser = any(name == b"origin" for name, _ in event.fields)
        given = event.query.get("token", "").encode(errors="replace")
        if is_browser and not hmac.compare_digest(given, self._token):
            raise HTTPError(403, "the token of this page is missing or old: reload the page")
        return ServiceSocket("the HMR WebSocket", opened=self._opened, gone=self._gone).accept(PROTOCOL)

    def changed(self, files: Iterable[Path]) -> None:
        """Tell of files that pages are made of."""
        late = {file for file in files if not _is_written(file)}
        self._tell_files(set(files) - late)
        if late:
            asyncio.get_running_loop().call_later(PATIENCE, self._tell_files, late)

    def _tell_files(self, files: set[Path]) -> None:
        payloads = page_payloads(files, self._root)
        for payload in payloads:
            self._tell(payload)
        if payloads:
            does_reload = any(payload["type"] == "full-reload" for payload in payloads)
            self._feed.tell(Page(file_names(files, self._root), does_reload, len(self._pages)))

    def _hear(self, news: News) -> None:
        if isinstance(news, Swapped):
            self._tell(swapped_payload(news))
            self._tell_failure(self._feed.standing)
        elif isinstance(news, Failed):
            self._tell_failure(news.failure)
        elif isinstance(news, Restart):
            self._tell(restart_payload(news))

    def _tell_failure(self, failure: Failure | None) -> None:
        if failure is not None:
            self._tell(error_payload(failure, self._root))

    def _tell(self, payload: Payload) -> None:
        for page in list(self._pages):
            page.send(payload)

    def _opened(self, page: ServiceSocket) -> None:
        self._pages[page] = None
        page.send({"type": "connected"})
        if (failure := self._feed.standing) is not None:
            page.send(error_payload(failure, self._root))

    def _gone(self, page: ServiceSocket) -> None:
        del self._pages[page]


class HmrApplication:
    """All that is served at a port of HMR's own (`contract.Application`).

    `app` is the one of the pages, whose proxies and origins count here too.
    """

    def __init__(self, app: App, path: str, claims: Sequence[Source]) -> None:
        self._app = app
        self._path = path
        self._claims = claims

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Let a page in, or refuse."""
        event = None
        try:
            event = self._app.read(request)
            for claim in self._claims:
                reply: Any = claim(event, None)
                if reply is not None:
                    return cast(Reply, reply)
            if event.path == self._path and not event.is_upgrade:
                raise HTTPError(426, "connect with a WebSocket", headers={"upgrade": "websocket"})
            raise HTTPError(404, "nothing but the WebSocket of HMR is served at this port")
        except HTTPError as error:
            return encode_reply(event, error, self._app.dev)

    async def startup(self) -> None:
        """Nothing is to be started."""

    async def shutdown(self) -> None:
        """Nothing is to be ended."""


def _protocol_of(event: Event) -> str | None:
    """Return our subprotocol where it is the only one that is offered."""
    try:
        offered = read_protocols(event)
    except HTTPError:
        return None
    return offered[0] if offered in ([PROTOCOL], [PING]) else None


def _is_written(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False
