"""Requests of one connection give the same events and the same refusal, whole and in any pieces.

Only `RequestError` with a documented status is raised; heads are clean, and no buffer passes its limit.
"""

from __future__ import annotations

import re

from fuzz.http import check_bodies, check_fields
from fuzz.source import Source, pieces
from longwave.core.http1 import Data, End, Head, Http1, parse_fields
from longwave.errors import RequestError
from longwave.limits import Limits

__all__ = ["check"]

SMALL = Limits(request_line=64, headers=256, header_count=6, body=300)
STATUSES = {400, 405, 413, 414, 417, 431, 505}


def check(data: bytes) -> None:
    """Read the bytes whole and chopped; the first byte says how, the second with which limits."""
    source = Source(data)
    how = source.byte()
    limits = source.pick((Limits(), SMALL))
    sent = source.rest()
    whole = Reader(limits)
    whole.take(sent)
    chopped = Reader(limits)
    for piece in pieces(sent, how):
        chopped.take(piece)
    assert whole.requests == chopped.requests, "the complete requests differ"
    if whole.status != chopped.status:
        # Of two rules that are broken, one of the line or of a limit may be met before or after the other.
        assert whole.status and chopped.status, f"{whole.refusal!r} is not {chopped.refusal!r}"
        assert {whole.status, chopped.status} & {414, 431, 505}, f"{whole.refusal} is not {chopped.refusal}"
    assert whole.head == chopped.head, "the last head differs"
    assert whole.rest == chopped.rest, "what follows an upgrade differs"
    check_bodies(whole.body, chopped.body, refused=bool(whole.status))


class Reader:
    """What comes of one connection."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.http = Http1(limits)
        self.requests: list[tuple[Head, bytes]] = []
        self.head: Head | None = None
        self.body = b""
        self.rest: bytes | None = None
        self.status = 0
        self.refusal = ""

    def take(self, data: bytes) -> None:
        """Receive bytes and read all events."""
        if self.rest is not None:
            self.rest += data
            return
        self.http.receive(data)
        try:
            while self.rest is None and (event := self.http.next_event()) is not None:
                self.read(event)
        except RequestError as error:
            assert not self.status, "a second refusal"
            assert error.status in STATUSES, f"status {error.status}"
            assert error.message.isprintable()
            self.status, self.refusal = error.status, error.message
        if self.status:
            assert self.http.next_event() is None
            assert self.http.held == 0
        limits = self.limits
        # An unfinished head, a chunk's size line, or a line of a trailer.
        assert self.http.held <= limits.request_line + limits.headers + 6, f"{self.http.held} bytes are held"

    def read(self, event: Head | Data | End) -> None:
        """Check one event."""
        if isinstance(event, Head):
            assert self.head is None, "a head before the end"
            self.head, self.body = event, b""
            check_head(event, self.limits)
            if event.is_upgrade and not event.has_body:
                self.rest = self.http.take_rest()
        elif isinstance(event, Data):
            assert self.head is not None and self.head.has_body
            assert event.data, "empty data"
            self.body += event.data
            assert len(self.body) <= self.limits.body
        else:
            assert self.head is not None
            assert self.head.content_length in (None, len(self.body))
            self.requests.append((self.head, self.body))
            self.head, self.body = None, b""
            self.http.next_request()


def check_head(head: Head, limits: Limits) -> None:
    """Check that a head holds nothing that could mean something else elsewhere."""
    assert head.http_version in ("1.0", "1.1")
    assert re.fullmatch(r"[A-Z-]+", head.method), head.method
    assert head.target.startswith(b"/") or (head.target == b"*" and head.method == "OPTIONS")
    assert re.fullmatch(rb"[!-~]+", head.target) and b"#" not in head.target
    check_fields(head.headers)
    assert all(value == value.strip(b" \t") for _, value in head.headers), head.headers
    names = [name for name, _ in head.headers]
    assert names.count(b"host") == 1 or (head.http_version == "1.0" and b"host" not in names)
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert head.has_body == ((head.content_length or 0) > 0 or b"transfer-encoding" in names)
    assert len(names) <= limits.header_count + 1  # one for the Host of an absolute target on HTTP/1.0
    assert parse_fields(head.raw) == head.headers, "the head cannot be had again"
