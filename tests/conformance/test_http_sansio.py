"""The HTTP cases against `Http1`: whole, byte by byte, and cut at every offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from longwave.core.http1 import Data, End, Head, Http1
from longwave.errors import RequestError
from longwave.limits import Limits
from tests.conformance.http_cases import ALL, SPEC_1, SPEC_2, Case, Seen

CUTS = 600
"""Above this length a case is cut at its first and last offsets and at some between."""


@dataclass
class Outcome:
    """What became of one connection."""

    requests: list[Seen] = field(default_factory=list)
    status: int = 0
    unfinished: bool = False
    closed: bool = False
    begun: bool = False


def play(pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces to a new connection, answering each request when it is whole."""
    http = Http1(Limits())
    outcome = Outcome()
    head: Head | None = None
    body = b""
    for piece in pieces:
        http.receive(piece)
        try:
            while (event := http.next_event()) is not None:
                if isinstance(event, Head):
                    assert head is None
                    head, body = event, b""
                elif isinstance(event, Data):
                    assert event.data
                    body += event.data
                else:
                    assert isinstance(event, End)
                    assert head is not None
                    outcome.requests.append(Seen(head.method, head.target, body))
                    outcome.closed = not head.keep_alive
                    head = None
                    http.next_request()
        except RequestError as error:
            assert not outcome.status, "a second error"
            outcome.status = error.status
            outcome.begun = head is not None
            head = None
            assert http.next_event() is None
    outcome.unfinished = head is not None or http.held > 0
    return outcome


def cuts(data: bytes) -> Iterator[int]:
    """Return the offsets to cut at."""
    if len(data) <= CUTS:
        yield from range(1, len(data))
    else:
        yield from range(1, CUTS // 2)
        yield from range(CUTS // 2, len(data) - CUTS // 2, len(data) // 50)
        yield from range(len(data) - CUTS // 2, len(data))


def check(case: Case, outcome: Outcome) -> None:
    """Compare what became of a connection with what the case expects."""
    assert tuple(outcome.requests) == case.requests
    if case.refused:
        assert outcome.status in case.refused
        assert outcome.begun == case.begun
    else:
        assert outcome.status == 0
        assert outcome.unfinished == case.waits
        assert outcome.closed == (not case.keeps)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_whole(case: Case) -> None:
    check(case, play([case.data]))


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_byte_by_byte(case: Case) -> None:
    check(case, play(case.data[i : i + 1] for i in range(len(case.data))))


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_cut_at_every_offset(case: Case) -> None:
    for cut in cuts(case.data):
        check(case, play([case.data[:cut], case.data[cut:]]))


def test_the_tables_are_whole() -> None:
    assert len(SPEC_1) == len(SPEC_2) == 33
    assert len({case.name for case in ALL}) == len(ALL)
    assert all(
        bool(case.refused) + case.waits + (len(case.requests) > 0 and not case.refused) >= 1 for case in ALL
    )
