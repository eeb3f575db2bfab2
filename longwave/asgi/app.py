"""Any application of ours as an ASGI 3 application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from longwave.asgi.http import serve_http
from longwave.asgi.link import Receive, Scope, Send
from longwave.asgi.state import AsgiState
from longwave.asgi.websocket import serve_websocket
from longwave.contract import Application
from longwave.limits import Limits, Timeouts

__all__ = ["AsgiApp"]

error_log = logging.getLogger("longwave.error")


class AsgiApp:
    """An application behind ASGI 3: `http`, `websocket` and `lifespan`.

    It starts with the server's lifespan. Where there is none, as below the mount of a framework, it starts
    with the first request and nobody ends it: put `async with app.lifespan():` into the lifespan of the
    application around it.
    """

    def __init__(
        self, application: Application, limits: Limits | None = None, timeouts: Timeouts | None = None
    ) -> None:
        self.application = application
        self._state = AsgiState(limits or Limits(), timeouts or Timeouts())
        self._starting: asyncio.Future[None] | None = None
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        if not self._started:
            await self.startup()
        serve = _SERVE.get(kind)
        if serve is None:
            raise RuntimeError(
                f"an ASGI scope of type {kind!r} cannot be served: http, websocket and lifespan can"
            )
        await serve(self.application, scope, receive, send, self._state)

    def stats(self) -> dict[str, int]:
        """Return how often each limit and time-out that is kept here was passed."""
        return self._state.stats()

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the application at once and end it in order.

        For the lifespan of what it is mounted in.
        """
        await self.startup()
        try:
            yield
        finally:
            await self.shutdown()

    async def startup(self) -> None:
        """Start the application, once.

        Who comes while it starts waits, and a failure is everyone's.
        """
        if self._starting is None:
            self._starting = asyncio.ensure_future(self.application.startup())
        await asyncio.shield(self._starting)
        self._started = True

    async def shutdown(self) -> None:
        """Close what is still open, with 1001, and end the application."""
        links = list(self._state.links)
        for link in links:
            link.close(1001, "")
        if links:
            await asyncio.wait([link.ended for link in links], timeout=self._state.timeouts.close)
            # Sessions hear of their end from the tasks that serve them.
            await asyncio.sleep(0)
        self._starting, self._started = None, False
        await self.application.shutdown()

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            order = (await receive())["type"].removeprefix("lifespan.")
            try:
                await (self.startup() if order == "startup" else self.shutdown())
            except Exception as error:
                error_log.error("the application failed at %s: %s", order, error, exc_info=error)
                await send({"type": f"lifespan.{order}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{order}.complete"})
            if order == "shutdown":
                return


_SERVE = {"http": serve_http, "websocket": serve_websocket}
