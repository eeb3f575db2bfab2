"""The answer of an upstream gives the same head, body and refusal, whole and in any pieces.

Only `UpstreamError` 502 is raised; heads are clean, and say the length of their body in one way.
"""

from __future__ import annotations

from fuzz.http import check_bodies, check_fields
from fuzz.source import Source, pieces
from longwave.core.http1 import Data
from longwave.core.http1_response import ResponseHead, ResponseReader
from longwave.errors import UpstreamError
from longwave.limits import Limits

__all__ = ["check"]

SMALL = Limits(request_line=64, headers=256, header_count=6)


def check(data: bytes) -> None:
    """Read the bytes whole and chopped; the first bytes say how, with which limits, for which method."""
    source = Source(data)
    how = source.byte()
    limits = source.pick((Limits(), SMALL))
    method = source.pick(("GET", "HEAD"))
    sent = source.rest()
    whole, chopped = Answer(method, limits), Answer(method, limits)
    whole.take(sent)
    for piece in pieces(sent, how):
        chopped.take(piece)
    whole.end()
    chopped.end()
    assert whole.head == chopped.head, "the heads differ"
    assert whole.refused == chopped.refused, "one is refused, the other is not"
    check_bodies(whole.body, chopped.body, refused=whole.refused)


class Answer:
    """What comes of one answer."""

    def __init__(self, method: str, limits: Limits) -> None:
        self.limits = limits
        self.reader = ResponseReader(method, limits)
        self.head: ResponseHead | None = None
        self.body = b""
        self.refused = False

    def take(self, data: bytes) -> None:
        """Read a piece."""
        if not self.refused:
            self.reader.receive(data)
            self._read()

    def end(self) -> None:
        """Read to the end."""
        if not self.refused:
            self.reader.receive_end()
            self._read()

    def _read(self) -> None:
        try:
            while (event := self.reader.next_event()) is not None:
                if isinstance(event, ResponseHead):
                    assert self.head is None, "two heads"
                    self.head = event
                    self._check_head(event)
                elif isinstance(event, Data):
                    assert self.head is not None and self.head.has_body and event.data
                    self.body += event.data
        except UpstreamError as error:
            assert error.status == 502
            self.refused = True
        if self.head is not None and self.head.content_length is not None:
            assert len(self.body) <= self.head.content_length

    def _check_head(self, head: ResponseHead) -> None:
        assert 200 <= head.status <= 599
        framing = [name for name, _ in head.fields if name in (b"content-length", b"transfer-encoding")]
        assert len(framing) <= 1
        assert len(head.fields) <= self.limits.header_count
        check_fields(head.fields)
