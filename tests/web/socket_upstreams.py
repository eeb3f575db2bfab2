"""WebSockets behind a proxy on real sockets: our server before, a `websockets` server or a script behind."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from longwave import create_websocket_proxy
from tests.web.upstreams import Running, serving

__all__ = ["Handler", "accept", "address", "before", "behind", "echo", "joined"]

Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(socket: ServerConnection) -> None:
    """Say what was asked and offered, then say everything back; `close 4321 why` closes."""
    request = socket.request
    assert request is not None
    await socket.send(f"welcome {request.path}")
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            if isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await socket.close(int(code), reason)
            else:
                await socket.send(message)


@contextlib.asynccontextmanager
async def behind(handler: Handler = echo, **options: Any) -> AsyncIterator[str]:
    """Serve an upstream; yields its address."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield address(server)


def address(server: Server) -> str:
    """Return the URL of an upstream."""
    return f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def before(target: Any, **options: Any) -> Any:
    """Serve a proxy to it at `/ws`."""
    return serving({"/ws": create_websocket_proxy(target, **options)}, timeouts={"close": 1})


def joined(front: Running, **options: Any) -> connect:
    """Return a connection to the proxy, to be entered."""
    return connect(f"{front.websocket_url}/ws", proxy=None, compression=None, **options)


def accept(head: str) -> bytes:
    """Return the handshake that answers a request head."""
    from longwave.core.handshake import accept_key, encode_switch

    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    exact = next(line for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    assert "sec-websocket-key" in lines
    return encode_switch(accept_key(exact.split(": ")[1].encode()))
