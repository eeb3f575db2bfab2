"""What the server answers by itself to one connection too many, and the lines of the access log."""

from __future__ import annotations

from typing import Final

from longwave.contract import Address
from longwave.core.http1 import Head
from longwave.core.http1_write import encode_error, encode_response
from longwave.core.paths import printable
from longwave.core.sse import encode_refusal, wants_events
from longwave.types import Fields

__all__ = ["REFUSED", "access_line", "refusal", "retry_time"]

REFUSED: Final = {503: "limits.connections", 429: "limits.connections_per_address"}
"""The statuses of refusals, and the limits behind them."""

SERVICE_RESTART: Final = 1012

_MESSAGES = {
    503: "the server has as many connections as it may have",
    429: "this address has as many connections as it may have",
}


def refusal(status: int, method: str, headers: Fields, date: bytes) -> bytes:
    """Return the answer to a connection that is refused for now.

    It tells when to come again, at random, so that not all come at once.
    """
    if method == "GET" and wants_events(headers):
        fields, body = encode_refusal(retry_time())
        return encode_response(200, fields, body, keep_alive=False, date=date)
    retry = {"Retry-After": str(retry_time() // 1000)}
    return encode_error(status, _MESSAGES[status], retry, date=date, head_only=method == "HEAD")


def retry_time(code: int = 1001) -> int:
    """Return the milliseconds after which an EventSource shall come back.

    At random, and soon where the server only restarts.
    """
    import random  # a millisecond of each start, for what most processes never do

    return 100 if code == SERVICE_RESTART else random.randint(2000, 10_000)


def access_line(client: Address | None, head: Head | None, status: int) -> str:
    """Return one line of the access log: address, request line without query, status.

    Queries are left out: they carry tokens. Control bytes are escaped.
    """
    address = "-" if client is None else f"{client[0]}:{client[1]}"
    if head is None:
        return f'{address} - "-" {status}'
    path = head.target.split(b"?", 1)[0].decode("ascii", "backslashreplace")
    line = f"{head.method} {path} HTTP/{head.http_version}"
    return f'{address} - "{printable(line)}" {status}'
