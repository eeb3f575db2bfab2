"""What the server answers by itself to one connection too many, and the lines of the access log."""

from __future__ import annotations

from typing import Final

from longwave.contract import Address
from longwave.core.http1 import Head
from longwave.core.http1_write import encode_error, encode_response
from longwave.core.sse import encode_refusal, wants_events
from longwave.types import Fields

__all__ = ["REFUSED", "access_line", "limit_of", "refusal"]

REFUSED: Final = {503: "limits.connections", 429: "limits.connections_per_address"}
"""The statuses of refusals, and the limits behind them."""

_MESSAGES = {
    503: "the server has as many connections as it may have",
    429: "this address has as many connections as it may have",
}
_LIMIT_OF_STATUS = {413: "limits.body", 414: "limits.request_line", 431: "limits.headers"}


def refusal(status: int, method: str, headers: Fields, date: bytes) -> bytes:
    """Return the answer to a connection that is refused for now.

    It tells when to come again, at random, so that not all come at once.
    """
    import random  # a millisecond of each start, for what most processes never do

    if method == "GET" and wants_events(headers):
        fields, body = encode_refusal(random.randrange(2000, 10_000))
        return encode_response(200, fields, body, keep_alive=False, date=date)
    retry = {"Retry-After": str(random.randint(2, 10))}
    return encode_error(status, _MESSAGES[status], retry, date=date, head_only=method == "HEAD")


def limit_of(status: int) -> str | None:
    """Return the name of the limit that a refused request passed, if it was one."""
    return _LIMIT_OF_STATUS.get(status)


def access_line(client: Address | None, head: Head | None, status: int) -> str:
    """Return one line of the access log: address, request line without query, status.

    Queries are left out: they carry tokens. Control bytes are escaped.
    """
    address = "-" if client is None else f"{client[0]}:{client[1]}"
    if head is None:
        return f'{address} - "-" {status}'
    path = head.target.split(b"?", 1)[0].decode("ascii", "backslashreplace")
    line = f"{head.method} {path} HTTP/{head.http_version}"
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in line)
    return f'{address} - "{shown}" {status}'
