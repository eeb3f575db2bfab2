"""What a server and an application may ask of each other; neither imports the other.

A server makes a `Request` and calls `Application.handle`. The reply is whole (`FullReply`), a head with a
session behind it (`StreamReply`), or an accepted WebSocket with its session (`UpgradeReply`). From then on
the server tells the `Session` what happens, and the session speaks through its `Link`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct, field

from longwave.types import Compression, Fields, Piece, SendStatus, SlowPolicy, Wire

__all__ = [
    "Address",
    "Application",
    "Body",
    "FullReply",
    "Link",
    "Reply",
    "Request",
    "Session",
    "StreamReply",
    "UpgradeReply",
    "failed_reply",
    "is_loopback",
]

Address: TypeAlias = tuple[str, int]


class Body(Protocol):
    """A request body, read once, as it comes."""

    async def read(self) -> bytes:
        """Return the whole body.

        Raises `RequestError` (413, 408, 400) when it cannot be had whole.
        """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they come; raises as `read` does."""


class Request:
    """One HTTP request, or one to become a WebSocket, whose head was checked.

    `target` is the request target in origin form, as it came: path, then `?` and query; below a mount
    without its part, which is `prefix`, percent-encoded too. `headers` have lower-case names. `release`
    drops what can be had again from the raw head, so that a connection that stays open for hours does not
    hold its parsed head. `knows_scheme` is false where `scheme` is that of our own connection, and a proxy
    may have ended TLS unseen.
    """

    __slots__ = (
        "_headers",
        "_parse",
        "_raw",
        "body",
        "client",
        "http_version",
        "is_upgrade",
        "knows_scheme",
        "method",
        "prefix",
        "scheme",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: Fields,
        body: Body | None = None,
        *,
        http_version: str = "1.1",
        scheme: str = "http",
        client: Address | None = None,
        is_upgrade: bool = False,
        prefix: str = "",
        raw: bytes = b"",
        parse: Callable[[bytes], Fields] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.body = body
        self.http_version = http_version
        self.scheme = scheme
        self.knows_scheme = scheme == "https"
        self.client = client
        self.is_upgrade = is_upgrade
        self.prefix = prefix
        self._headers: Fields | None = headers
        self._raw = raw
        self._parse = parse

    @property
    def headers(self) -> Fields:
        """The header fields in order; parsed again from the raw head after `release`."""
        if self._headers is None:
            assert self._parse is not None
            return self._parse(self._raw)
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a field by its lower-case name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def replace_header(self, name: bytes, value: bytes) -> None:
        """Let a field have another value, also when the head is parsed again."""
        parse, headers = self._parse, self.headers
        self._headers = _replaced(headers, name, value)
        if parse is not None:
            self._parse = lambda raw: _replaced(parse(raw), name, value)

    def release(self) -> None:
        """Drop the parsed fields where they can be parsed again from the raw head."""
        if self._parse is not None:
            self._headers = None


def _replaced(headers: Fields, name: bytes, value: bytes) -> Fields:
    return [(key, value if key == name else old) for key, old in headers]


class Link(Protocol):
    """The way from a session to its client: a WebSocket, or the body of one response."""

    @property
    def wire(self) -> Wire:
        """The format of this link; settled when the link opens."""

    @property
    def buffered(self) -> int:
        """Bytes accepted and not yet taken by the network."""

    def write(self, piece: Piece) -> SendStatus:
        """Send a piece of the link's own wire, in order; never raises for the network."""

    def ping(self, data: bytes = b"") -> None:
        """Send a WebSocket ping of at most 125 bytes (where the link is one)."""

    def pause(self) -> None:
        """Ask for no further `Session.received` until `resume`; calls do not nest."""

    def resume(self) -> None:
        """Take back `pause`."""

    async def drained(self, threshold: int = 0) -> None:
        """Return when at most `threshold` bytes are buffered, or when the link is closed."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order: a WebSocket by its handshake, a response by its end. Idempotent."""

    def abort(self) -> None:
        """Cut the connection at once."""


class Session(Protocol):
    """What a server tells of one connection.

    One `opened`, then anything, then one `closed`, always. The session of a reply that an application drops
    before it is sent hears `closed` alone. None of these blocks or raises for what a user's code did.
    """

    def opened(self, link: Link) -> None:
        """The head was sent; the link may be written to."""

    def received(self, data: str | bytes, is_text: bool) -> None:
        """A whole WebSocket message came: `str` when it is text, else `bytes`."""

    def pinged(self, data: bytes) -> None:
        """A ping came; the pong is sent already."""

    def ponged(self, data: bytes) -> None:
        """A pong came."""

    def drained(self) -> None:
        """The outgoing buffer went from above half its bound to a quarter or less."""

    def closed(self, code: int, reason: str) -> None:
        """The connection is gone. 1005: the client gave no code; 1006: it was lost."""


class FullReply(Struct):
    """A response whose body is known.

    The server adds `content-length` where the status has a body.
    """

    status: int
    headers: Fields = field(default_factory=list)
    body: bytes = b""


class StreamReply(Struct):
    """A response head, and the session that writes its body through the link.

    `format` picks the wire: "sse" encodes publications as events, "body" passes bytes through. The server
    adds `transfer-encoding: chunked` where there is no `content-length` in `headers` and the client can
    read it. The answer to HEAD is the head alone; the session hears `opened`, then `closed`.
    """

    status: int
    headers: Fields
    session: Session
    format: Literal["sse", "body"] = "sse"


class UpgradeReply(Struct):
    """An accepted WebSocket: extra headers, the chosen subprotocol, the session.

    `compress` is what is wanted of compression, None none; a server that cannot leaves it out.
    """

    session: Session
    headers: Fields = field(default_factory=list)
    protocol: str | None = None
    policy: SlowPolicy = SlowPolicy.CLOSE
    compress: Compression | None = None


Reply: TypeAlias = FullReply | StreamReply | UpgradeReply


class Application(Protocol):
    """What a server serves."""

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer one request.

        Never raises for what a user's code did, except `CancelledError`. A reply at once costs no task; an
        awaitable is run as one, and cancelled when the client goes.
        """

    async def startup(self) -> None:
        """Run before the first request; raises when the application cannot start."""

    async def shutdown(self) -> None:
        """Run after the last connection.

        Waits for what is still running, within its own limits.
        """


def is_loopback(address: Address | None) -> bool:
    """Return whether a client is on this machine.

    One behind a Unix socket may be anywhere.
    """
    if address is None:
        return False
    try:
        ip = ipaddress.ip_address(address[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def failed_reply() -> FullReply:
    """Return the answer to a request whose handling failed; it does not say why."""
    body = b'{"error":true,"status":500,"message":"Server Error","unhandled":true}'
    return FullReply(500, [(b"content-type", b"application/json")], body)
