"""What servers differ in, as data: the link suite tests every cell, and the documentation shows the table.

A capability that a server lacks is tested too: its test has to fail there, so that the table stays true when
a server learns something. Tested versions: uvicorn 0.54, Hypercorn 0.18.
"""

from __future__ import annotations

__all__ = ["CAPABILITIES", "LACKS", "NOTES", "SERVERS"]

SERVERS = {"longwave": "Longwave", "uvicorn": "uvicorn", "hypercorn": "Hypercorn"}

CAPABILITIES = {
    "ping": "`peer.ping()` sends a ping, and the `ping` and `pong` hooks run",
    "early": "What a client sends right behind its handshake, without waiting for the answer, arrives",
    "denial": "A refused WebSocket is answered with the status, headers and body of the `upgrade` hook",
    "client_code": "The `close` hook sees the code and reason that the client closed with",
    "lost_code": "The `close` hook sees 1006 when the connection was lost without a closing handshake",
    "protocol_code": "A client that breaks the protocol is closed with 1002 or 1007, and the hook sees it",
    "abort": "`peer.terminate()` cuts without a close frame: the client sees 1006",
    "cancel": "A handler is cancelled when the client of a plain request goes away",
    "shutdown_socket": "WebSockets are closed with 1001 or 1012 when the server stops",
    "shutdown_hook": "The `close` hook sees 1001 or 1012 when the server stops",
    "shutdown_stream": "Event streams are ended in order when the server stops",
}

LACKS: dict[str, dict[str, str]] = {
    "longwave": {},
    "uvicorn": {
        "ping": "ASGI has no pings; the server pings by itself, every 20 s",
        "early": "the bytes are lost",
    },
    "hypercorn": {
        "ping": "ASGI has no pings; the server pings by itself when `websocket_ping_interval` is set",
        "early": "the handshake is answered with 400",
        "client_code": "the hook sees 1006 for every end that the client began",
        "protocol_code": "the connection ends without a close frame",
        "abort": "the client sees 1011",
    },
}
"""By server: the capabilities that it lacks, and what happens instead."""

NOTES = {
    "uvicorn": "Needs `--timeout-graceful-shutdown`: without it, it waits for open event streams for ever.",
    "hypercorn": "`graceful_timeout` (3 s) is how long open WebSockets and streams hold up the end.",
}
"""By server: what one has to know to run it."""
