"""`Http1`: events, what waits, limits, and that no chopping costs more than its length."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longwave.core import http1
from longwave.core.http1 import Data, End, Event, Head, Http1, parse_fields
from longwave.errors import RequestError
from longwave.limits import Limits
from tests.core.growth import LINEAR, growth
from tests.core.http_requests import Sent, cut, pipelines

LIMITS = Limits()
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, *lines: bytes) -> bytes:
    """Return a POST with these header lines."""
    return b"\r\n".join((b"POST /p HTTP/1.1", b"Host: a", *lines, b"", body))


def events(http: Http1) -> list[Event]:
    """Return the events that are there."""
    found = []
    while (event := http.next_event()) is not None:
        found.append(event)
    return found


def head_of(data: bytes, limits: Limits = LIMITS) -> Head:
    """Return the head of one request."""
    http = Http1(limits)
    http.receive(data)
    event = http.next_event()
    assert isinstance(event, Head)
    return event


def refusal(data: bytes, limits: Limits = LIMITS, size: int = 0) -> RequestError:
    """Return the error that the data, given in pieces of `size`, ends with."""
    http = Http1(limits)
    with pytest.raises(RequestError) as caught:
        for start in range(0, len(data), size or len(data)):
            http.receive(data[start : start + (size or len(data))])
            events(http)
    return caught.value


def test_a_request_without_a_body_is_a_head_and_an_end() -> None:
    http = Http1(LIMITS)
    http.receive(GET)
    head, end = events(http)
    assert isinstance(head, Head)
    assert isinstance(end, End)
    assert (head.method, head.target, head.http_version) == ("GET", b"/", "1.1")
    assert head.headers == [(b"host", b"a")]
    assert (head.has_body, head.content_length, head.keep_alive) == (False, None, True)
    assert http.held == 0


def test_a_counted_body_comes_as_it_arrives() -> None:
    http = Http1(LIMITS)
    http.receive(post(b"he", b"Content-Length: 5"))
    head, first = events(http)
    assert isinstance(head, Head)
    assert (head.has_body, head.content_length) == (True, 5)
    assert first == Data(b"he")
    http.receive(b"lloGET")
    assert events(http) == [Data(b"llo"), End()]
    assert http.held == 3


def test_a_chunked_body_loses_its_framing() -> None:
    http = Http1(LIMITS)
    http.receive(post(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n" + GET, b"Transfer-Encoding: chunked"))
    head, *rest = events(http)
    assert isinstance(head, Head)
    assert (head.has_body, head.content_length) == (True, None)
    assert rest == [Data(b"hello!"), End()]
    assert http.held == len(GET)


def test_a_length_of_zero_is_no_body() -> None:
    http = Http1(LIMITS)
    http.receive(post(b"", b"Content-Length: 0"))
    head, end = events(http)
    assert isinstance(head, Head)
    assert (head.has_body, head.content_length) == (False, 0)
    assert isinstance(end, End)


def test_the_next_request_waits_until_it_is_asked_for() -> None:
    http = Http1(LIMITS)
    http.receive(GET + GET.replace(b"/ ", b"/b "))
    assert len(events(http)) == 2
    assert http.next_event() is None
    http.receive(GET.replace(b"/ ", b"/c "))
    assert http.next_event() is None
    targets = []
    for _ in range(2):
        http.next_request()
        head = events(http)[0]
        assert isinstance(head, Head)
        targets.append(head.target)
    assert targets == [b"/b", b"/c"]
    http.next_request()
    assert http.is_idle


def test_next_request_may_follow_a_head_without_a_body() -> None:
    http = Http1(LIMITS)
    http.receive(GET * 2)
    for _ in range(2):
        assert isinstance(http.next_event(), Head)
        http.next_request()
    assert http.next_event() is None


def test_next_request_before_the_end_of_a_body_is_a_mistake() -> None:
    http = Http1(LIMITS)
    http.receive(post(b"he", b"Content-Length: 5"))
    events(http)
    with pytest.raises(RuntimeError):
        http.next_request()


def test_what_follows_the_last_request_is_dropped() -> None:
    http = Http1(LIMITS)
    http.receive(GET.replace(b"Host", b"Connection: close\r\nHost") + GET)
    assert len(events(http)) == 2
    http.next_request()
    http.receive(GET)
    assert http.held == 0
    assert http.next_event() is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01", 400),
        (b" ", 400),
        (b"GET /\n", 400),
        (b"GET /\rH", 400),
        (b"GET /a b HTTP/1.1\r\n", 400),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rX", 400),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_cannot_become_a_request_is_refused_before_it_ends(data: bytes, status: int, size: int) -> None:
    assert refusal(data, size=size).status == status


def test_each_request_is_measured_anew() -> None:
    http = Http1(replace(LIMITS, headers=30))
    request = b"\r\n\r\nGET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
    targets = []
    for target in (b"a", b"b" * 300, b"c"):
        data = request % target
        for offset in range(len(data)):
            http.receive(data[offset : offset + 1])
            for event in events(http):
                if isinstance(event, Head):
                    targets.append(event.target)
                    http.next_request()
    assert targets == [b"/a", b"/" + b"b" * 300, b"/c"]


def test_an_error_is_raised_once_and_is_the_end() -> None:
    http = Http1(LIMITS)
    http.receive(b"nonsense\r\n\r\n" + GET)
    with pytest.raises(RequestError):
        http.next_event()
    http.receive(GET)
    http.next_request()
    assert http.next_event() is None
    assert http.held == 0


def test_idle_is_before_the_first_byte_of_a_request() -> None:
    http = Http1(LIMITS)
    assert http.is_idle
    http.receive(b"\r\n")
    assert http.next_event() is None
    assert http.is_idle
    http.receive(b"G")
    assert http.next_event() is None
    assert not http.is_idle


def test_the_rest_behind_an_upgrade_is_taken_whole() -> None:
    http = Http1(LIMITS)
    found: list[Event] = []
    upgrade = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    for piece in (upgrade[:20], upgrade[20:] + b"\x81\x80", b"abcd"):
        http.receive(piece)
        found += events(http)
    assert isinstance(found[0], Head)
    assert found[0].is_upgrade
    http.receive(b"more")
    assert http.next_event() is None
    assert http.take_rest() == b"\x81\x80abcdmore"
    assert http.held == 0


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_request_line_is_bounded(size: int) -> None:
    limits = replace(LIMITS, request_line=100)
    line = b"GET /" + b"a" * 86 + b" HTTP/1.1"
    assert len(line) == 100
    assert head_of(line + b"\r\nHost: a\r\n\r\n", limits).target == line[4:-9]
    longer = line.replace(b"/a", b"/aa")
    assert refusal(longer + b"\r\nHost: a\r\n\r\n", limits, size).status == 414
    assert refusal(b"GET /" + b"a" * 200, limits, size).status == 414


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_header_block_is_bounded(size: int) -> None:
    limits = replace(LIMITS, headers=100)
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    block = b"a" * (100 - len(b"Host: a\r\nX: \r\n"))
    assert head_of(start + block + b"\r\n\r\n", limits).headers[1] == (b"x", block)
    assert refusal(start + block + b"a\r\n\r\n", limits, size).status == 431
    assert refusal(start + b"a" * 200, limits, size).status == 431


@pytest.mark.parametrize("size", [1, 100_000])
def test_the_number_of_fields_is_bounded(size: int) -> None:
    limits = replace(LIMITS, header_count=5)
    start = b"GET / HTTP/1.1\r\nHost: a\r\n"
    assert len(head_of(start + b"a: b\r\n" * 4 + b"\r\n", limits).headers) == 5
    assert refusal(start + b"a: b\r\n" * 5 + b"\r\n", limits, size).status == 431


@pytest.mark.parametrize("size", [1, 100_000])
def test_the_body_is_bounded(size: int) -> None:
    limits = replace(LIMITS, body=10)
    assert head_of(post(b"", b"Content-Length: 10"), limits).content_length == 10
    assert refusal(post(b"", b"Content-Length: 11"), limits, size).status == 413
    chunked = b"Transfer-Encoding: chunked"
    assert refusal(post(b"b\r\n", chunked), limits, size).status == 413
    assert refusal(post(b"9\r\naaaaaaaaa\r\n2\r\n", chunked), limits, size).status == 413


def test_a_header_without_end_costs_no_more_than_the_limit() -> None:
    piece = b"a" * 65536
    tracemalloc.start()
    try:
        http = Http1(LIMITS)
        http.receive(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        http.next_event()
        status = 0
        for _ in range(1600):
            http.receive(piece)
            try:
                http.next_event()
            except RequestError as error:
                status = error.status
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status == 431
    assert peak < 200_000


KINDS = pytest.mark.parametrize(
    ("start", "filling", "end"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a", b"\r\n\r\n"),
        (b"GET /", b"a", b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"a:b\r\n", b"\r\n"),
        (post(b"", b"Content-Length: 900000"), b"a", b""),
        (post(b"", b"Transfer-Encoding: chunked"), b"1\r\na\r\n", b""),
        (post(b"0\r\nX: ", b"Transfer-Encoding: chunked"), b"a", b""),
    ],
    ids=["value", "target", "fields", "counted body", "chunks", "trailer"],
)


class Watched(bytearray):
    """A bytearray that counts the bytes that were looked through."""

    looked = 0

    def find(self, *args: Any) -> int:
        found = super().find(*args)
        Watched.looked += (found if found >= 0 else min([len(self), *args[2:]])) - args[1]
        return found

    def count(self, *args: Any) -> int:
        Watched.looked += min([len(self), *args[2:]]) - args[1]
        return super().count(*args)


@KINDS
def test_byte_by_byte_each_byte_is_looked_at_a_few_times(
    start: bytes, filling: bytes, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "bytearray", Watched, raising=False)
    Watched.looked = 0
    data = start + filling * (8000 // len(filling)) + end
    http = Http1(replace(LIMITS, header_count=10_000))
    for offset in range(len(data)):
        http.receive(data[offset : offset + 1])
        while http.next_event() is not None:
            pass
    assert len(data) / 20 < Watched.looked < 25 * len(data)


@KINDS
def test_time_grows_with_the_length_alone(start: bytes, filling: bytes, end: bytes) -> None:
    limits = replace(LIMITS, headers=10**7, request_line=10**7, header_count=10**7, body=10**7)

    def run(data: bytes) -> None:
        http = Http1(limits)
        for offset in range(0, len(data), 4096):
            http.receive(data[offset : offset + 4096])
            while http.next_event() is not None:
                pass

    assert growth(lambda n: start + filling * (n // len(filling)) + end, run, 160_000) < LINEAR


def test_a_long_pipeline_costs_its_length() -> None:
    def run(data: bytes) -> None:
        http = Http1(LIMITS)
        http.receive(data)
        while http.next_event() is not None:
            http.next_request()
            http.receive(b"\r\n" if http.held < 10 else b"")

    assert growth(lambda n: GET * n, run, 300) < LINEAR


def replay(pieces: list[bytes]) -> list[Sent]:
    """Return the requests that come out of the pieces."""
    http = Http1(LIMITS)
    found: list[Sent] = []
    head: Head | None = None
    body: list[bytes] = []
    for piece in pieces:
        http.receive(piece)
        while (event := http.next_event()) is not None:
            if isinstance(event, Head):
                head = event
                body = []
            elif isinstance(event, Data):
                body.append(event.data)
            else:
                assert head is not None
                assert parse_fields(head.raw) == head.headers
                found.append(Sent(head.raw, head.method, head.target, head.headers, b"".join(body)))
                http.next_request()
    assert http.is_idle
    return found


@given(pipelines, st.lists(st.integers(0, 10_000), max_size=30))
def test_valid_requests_come_back_however_they_are_chopped(sent: list[Sent], offsets: list[int]) -> None:
    found = replay(cut(b"".join(request.data for request in sent), offsets))
    assert [one[1:] for one in found] == [one[1:] for one in sent]
    for one, other in zip(found, sent, strict=True):
        assert other.data.startswith(one.data)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [GET, b"\r\n", b"\n", b":", b" ", b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n\r\n"]
            ),
            st.sampled_from(
                [post(b"", b"Transfer-Encoding: chunked"), post(b"", b"Content-Length: 9"), b"5\r\n"]
            ),
        ),
        max_size=8,
    )
)
def test_nothing_but_a_request_error_comes_of_any_bytes(pieces: list[bytes]) -> None:
    http = Http1(LIMITS)
    status = 400
    try:
        for piece in pieces:
            http.receive(piece)
            while (event := http.next_event()) is not None:
                if isinstance(event, End):
                    http.next_request()
    except RequestError as error:
        status = error.status
    assert status in {400, 405, 413, 414, 417, 431, 505}
