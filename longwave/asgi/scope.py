"""From an ASGI scope to a `Request`.

ASGI 3.0, "HTTP & WebSocket ASGI Message Format", version 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from longwave.contract import Body, Request

__all__ = ["make_request", "target_of"]

_SCHEMES = {"ws": "http", "wss": "https"}
_SAFE = "/:@!$&'()*+,;=-._~"
"""What stays as it is in a path: RFC 3986 section 3.3."""


def make_request(scope: Mapping[str, Any], body: Body | None = None) -> Request:
    """Return the request that a scope of type `http` or `websocket` describes."""
    scheme = scope.get("scheme") or "http"
    client = scope.get("client")
    upgrade = scope["type"] == "websocket"
    headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
    offered = scope.get("subprotocols")
    if upgrade and offered and not any(name == b"sec-websocket-protocol" for name, _ in headers):
        # A server may speak a transport without that field; the application looks for it there.
        headers.append((b"sec-websocket-protocol", ", ".join(offered).encode("latin-1")))
    return Request(
        scope.get("method", "GET"),
        target_of(scope),
        headers,
        body,
        http_version=scope.get("http_version", "1.1"),
        scheme=_SCHEMES.get(scheme, scheme),
        client=(client[0], client[1] or 0) if client else None,
        is_upgrade=upgrade,
        # Whole, also where a proxy has taken its part away: what the client asked for has it.
        prefix=quote(scope.get("root_path", "").rstrip("/"), _SAFE),
    )


def target_of(scope: Mapping[str, Any]) -> bytes:
    """Return the request target below `root_path`, with its query, as it was written.

    Servers and frameworks that mount put `root_path` in front of `path` and `raw_path`. FastAPI with a
    `root_path` of its own, for a proxy that has taken it away, does not: its part is in `app_root_path`.
    Where nothing of that is there, as older ones have it, nothing is taken away.
    """
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0] if raw else quote(scope["path"], _SAFE).encode("ascii")
    root: str = scope.get("root_path", "")
    below = _below(path, root)
    if below is None:
        below = _below(path, root.removeprefix(scope.get("app_root_path", "")))
    path = path if below is None else below or b"/"
    query: bytes = scope.get("query_string", b"")
    return b"%b?%b" % (path, query) if query else path


def _below(path: bytes, root: str) -> bytes | None:
    """Return the path without the encoded form of `root`; None if that is not its first segments."""
    wanted = root.rstrip("/").encode("utf-8", "surrogateescape")
    at = 0
    for byte in wanted:
        if path[at : at + 1] == b"%":
            try:
                found = int(path[at + 1 : at + 3], 16)
            except ValueError:
                return None
            at += 3
        else:
            found = path[at] if at < len(path) else -1
            at += 1
        if found != byte:
            return None
    if at < len(path) and path[at] != 0x2F:
        return None
    return path[at:]
