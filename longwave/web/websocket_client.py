"""Connects to a WebSocket upstream, by the client of `websockets`."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, Final, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from longwave.errors import UpstreamError
from longwave.types import Fields
from longwave.web.http_client import dial, tls_of
from longwave.web.targets import Target

__all__ = ["ClientSocket", "Refused", "connect", "end_of"]


class ClientSocket(Protocol):
    """What a proxy needs of a connection to an upstream, as `websockets` has it."""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the upstream chose."""

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits while the upstream takes none."""

    async def recv(self) -> Any:
        """Return the next message, `str` or `bytes`; raises at the end."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order."""


class Refused(UpstreamError):
    """The upstream refused the handshake: what `connect="upgrade"` hands on."""

    def __init__(self, status: int, fields: Fields, body: bytes) -> None:
        super().__init__(502, f"the upstream refused the WebSocket with {status}")
        self.upstream_status = status
        self.fields = fields
        self.body = body


async def connect(
    target: Target,
    protocols: Sequence[str],
    fields: Fields,
    *,
    within: float,
    secure: bool | ssl.SSLContext = True,
    compression: bool = False,
    max_size: int | None = 1 << 20,
    max_queue: int = 4,
    write_limit: int = 64 * 1024,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 10,
    close_timeout: float | None = 5,
) -> ClientConnection:
    """Return an open connection; raises `UpstreamError`.

    That is a `Refused` where the upstream says no. `fields` may hold `host`, in place of that of the target.
    No redirect is followed. At most `max_queue` messages wait to be received; above that the upstream is not
    read. Raises `ValueError` for fields that the handshake sets.
    """
    wrong = [name.decode() for name, _ in fields if name in _OWN]
    if wrong:
        raise ValueError(f"the handshake with an upstream sets {', '.join(wrong)} by itself")
    path, _, query = target.path.partition("?")
    uri = WebSocketURI(target.is_secure, target.host, target.port or 80, path, query)
    deflate = [ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5})] if compression else None
    offered = [Subprotocol(name) for name in protocols] or None
    handshake = _Handshake(uri, extensions=deflate, subprotocols=offered, max_size=max_size)
    handshake.fields = fields
    connection = ClientConnection(
        handshake,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_queue=max_queue,
        write_limit=write_limit,
    )
    transport = await dial(lambda: connection, target, within, tls_of(secure, target))
    try:
        await connection.handshake(None, None)
    except InvalidStatus as error:
        transport.abort()
        response = error.response
        kept = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in response.headers.raw_items()]
        raise Refused(response.status_code, kept, bytes(response.body or b"")) from None
    except (InvalidHandshake, InvalidMessage, EOFError, OSError) as error:
        transport.abort()
        raise UpstreamError(502, "the upstream is no WebSocket") from error
    except BaseException:
        transport.abort()
        raise
    connection.start_keepalive()
    return connection


def end_of(error: BaseException) -> tuple[int | None, str]:
    """Return code and reason of a connection's end, out of what `recv` raised.

    The code is None for any other error. An end that we brought about, as a message was too big, has the
    code that we gave.
    """
    if not isinstance(error, ConnectionClosed):
        return None, ""
    if error.rcvd is not None:
        return error.rcvd.code, error.rcvd.reason
    if error.sent is not None and error.sent.code == 1009:
        return 1009, error.sent.reason
    return 1006, ""


class _Handshake(ClientProtocol):
    """A handshake with fields of ours, `Host` among them."""

    fields: Fields

    def connect(self) -> Request:
        """Return the request."""
        request = super().connect()
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.fields]
        for name, _ in fields:
            if name in request.headers:
                del request.headers[name]
        for name, value in fields:
            request.headers[name] = value
        return request


_OWN: Final = frozenset(
    b"connection content-length sec-websocket-accept sec-websocket-extensions sec-websocket-key "
    b"sec-websocket-protocol sec-websocket-version transfer-encoding upgrade".split()
)
