"""A source of the app that hands on to Vite what is no route: HTTP, and the WebSocket of its HMR."""

from __future__ import annotations

import asyncio
from typing import Any

from longwave.app.event import Event
from longwave.app.response import PassedResponse
from longwave.dev.proxy import Tunnel, handshake_fields
from longwave.dev.vite import CHECK, HOST
from longwave.errors import HTTPError, UpstreamError
from longwave.routing.table import Match
from longwave.web.proxy import proxy_request
from longwave.web.targets import clean_target

__all__ = ["ViteSource"]

PROTOCOLS = frozenset({"vite-hmr", "vite-ping"})
"""The subprotocols of Vite's client. Others are no business of Vite's, which would leave them hanging."""
START = 20.0
"""Seconds that a request waits for a Vite that is being started."""
RESTART = 3.0
"""Seconds that one waits for a Vite that was there: it starts its server anew when its settings change."""
ANSWER = 120.0
"""Seconds until an answer begins: the first one waits until dependencies are bundled."""


class ViteSource:
    """Asks the Vite at a port of this machine.

    It sees `Host` and `Origin` as they came, and checks them.
    """

    def __init__(self, port: int) -> None:
        self._origin = f"{HOST}:{port}"
        self._port = port
        self._is_up = False
        self._wait = START
        self._tunnel = Tunnel(self._websocket_url, handshake_fields)

    def __call__(self, event: Event, match: Match[Any] | None) -> Any:
        """Return Vite's answer; None for what is a route, and for WebSockets that are none of Vite's."""
        if event.is_upgrade:
            offered = event.headers.get("sec-websocket-protocol", "").split(",")
            is_vites = any(name.strip() in PROTOCOLS for name in offered)
            return self._tunnel.answer(event) if is_vites else None
        return self._ask(event) if match is None and event.path != "*" else None

    async def _ask(self, event: Event) -> PassedResponse:
        url = f"http://{self._origin}{clean_target(event.request.target)}"
        for attempt in range(2):
            if not self._is_up:
                await self._listening()
            try:
                return await proxy_request(
                    event, url, forward_headers=("host",), forwarded=False, timeout=ANSWER
                )
            except UpstreamError as error:
                if attempt or event.request.body is not None or not isinstance(error.__cause__, OSError):
                    raise
                self._is_up = False
        raise AssertionError("there is no third attempt")

    async def _listening(self) -> None:
        """Return when Vite listens; raises `HTTPError` 503 where it does not in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait
        while not self._is_up:
            try:
                _, writer = await asyncio.open_connection(HOST, self._port)
            except OSError:
                if loop.time() > deadline:
                    self._wait = CHECK
                    why = "Vite does not run: the terminal says why"
                    raise HTTPError(503, why, headers={"retry-after": "1"}) from None
                await asyncio.sleep(CHECK)
            else:
                writer.transport.abort()
                self._is_up, self._wait = True, RESTART

    def _websocket_url(self, event: Event) -> str:
        return f"ws://{self._origin}{clean_target(event.request.target)}"
