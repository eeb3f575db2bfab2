"""`Http1` beside h11: the same verdict on any bytes, but for the differences listed here.

`STRICTER` names what we refuse and h11 takes, by the beginning of our message, each with a request that shows
it; `LOOSER` what we take and h11 does not.
"""

from __future__ import annotations

from typing import NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core.http1 import Data, Head, Http1
from longwave.errors import RequestError
from longwave.limits import Limits
from tests.core.http_requests import Sent, requests


class Verdict(NamedTuple):
    """What a parser made of one connection."""

    requests: list[tuple[str, bytes, bytes]]
    refusal: str = ""
    closed: bool = False


def ours(data: bytes) -> Verdict:
    """Return our verdict."""
    http = Http1(Limits())
    http.receive(data)
    found: list[tuple[str, bytes, bytes]] = []
    head: Head | None = None
    body = b""
    try:
        while (event := http.next_event()) is not None:
            if isinstance(event, Head):
                head, body = event, b""
            elif isinstance(event, Data):
                body += event.data
            else:
                assert head is not None
                found.append((head.method, head.target, body))
                http.next_request()
                # h11 closes after every request of HTTP/1.0; we let it ask for keep-alive (RFC 9112 9.3).
                if not head.keep_alive or head.http_version == "1.0":
                    return Verdict(found, closed=True)
    except RequestError as error:
        return Verdict(found, error.message)
    return Verdict(found)


def theirs(data: bytes) -> Verdict:
    """Return the verdict of h11."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    found: list[tuple[str, bytes, bytes]] = []
    request: h11.Request | None = None
    body = b""
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                found.append((request.method.decode(), request.target, body))
                server.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
                server.send(h11.EndOfMessage())
                if server.our_state is not h11.DONE or server.their_state is not h11.DONE:
                    return Verdict(found, closed=True)
                server.start_next_cycle()
            else:
                return Verdict(found)
    except h11.RemoteProtocolError as error:
        return Verdict(found, str(error) or "refused")


def get(line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n", more: bytes = b"") -> bytes:
    """Return a request with one thing odd."""
    return line + b"\r\n" + host + more + b"\r\n"


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

STRICTER: dict[str, bytes] = {
    # RFC 9112 2.2 lets a server take a bare LF for CRLF, and h11 does.
    "a line must end with CRLF": b"GET / HTTP/1.1\nHost: a\n\n",
    # The same, where the head ends well; and RFC 9110 5.5 wants CTLs refused or replaced: h11 takes them.
    "a header holds a control character": get(more=b"X: a\x07\r\n"),
    # What cannot become right is refused at once; h11 waits for the end of the line.
    "a request must begin with its method": b"\x80",
    "a chunk size must be 1 to 16": CHUNKED + b"z",
    # h11 takes any visible ASCII for a target, "#" too, and any version.
    "the request line must be": get(b"GET /a#b HTTP/1.1"),
    "this server speaks": get(b"GET / HTTP/3.7"),
    # h11 does not look at the form of a target; what llhttp says of others follows.
    "the target must be a path": get(b"GET ftp://a/ HTTP/1.1"),
    "the target `*` is for OPTIONS": get(b"GET * HTTP/1.1"),
    "the request cannot be read: Invalid characters in url": get(b"GET a HTTP/1.1"),
    "the request cannot be read: Unexpected start char in url": get(b"GET ?a HTTP/1.1"),
    "the request cannot be read: Unexpected char in url": get(b"GET http://a|b/ HTTP/1.1"),
    # h11 takes any token for a method.
    "the request cannot be read: Expected space after method": get(b"GETS / HTTP/1.1"),
    "this server is no proxy": get(b"CONNECT a:1 HTTP/1.1"),
    "the request cannot be read: Invalid method": get(b"FROB / HTTP/1.1"),
    # RFC 9112 5.2 lets a server join folded lines, and h11 does.
    "the request cannot be read: Unexpected whitespace": get(more=b"X: a\r\n b\r\n"),
    "the request cannot be read: Invalid header value char": get(host=b"Host:\r\n a\r\n"),
    # llhttp takes no tab after a coding; no client sends one.
    "the request cannot be read: Request has invalid `Transfer-Encoding`": CHUNKED.replace(b"ed\r", b"ed\t\r")
    + b"0\r\n\r\n",
    # h11 counts Host fields, but does not read them.
    "the Host header must be one": get(host=b"Host: a b\r\n"),
    # RFC 9112 6.1 and 6.3 allow what h11 does: Transfer-Encoding wins, also on 1.0.
    "the request cannot be read: Transfer-Encoding can't be present": get(
        more=b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    )
    + b"0\r\n\r\n",
    "the request cannot be read: Content-Length can't be present": get(
        more=b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"
    )
    + b"0\r\n\r\n",
    "an HTTP/1.0 request must not": get(b"POST / HTTP/1.0", more=b"Transfer-Encoding: chunked\r\n")
    + b"0\r\n\r\n",
    # RFC 9110 8.6 allows to take equal lengths for one.
    "the request cannot be read: Invalid character in Content-Length": get(more=b"Content-Length: 5, 5\r\n")
    + b"hello",
    "the request cannot be read: Duplicate Content-Length": get(
        more=b"Content-Length: 5\r\nContent-Length: 5\r\n"
    )
    + b"hello",
    # RFC 9110 10.1.1: a server may answer 417.
    "the only expectation": get(more=b"Expect: a\r\n"),
    "a WebSocket handshake must not": get(
        more=b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n"
    )
    + b"a",
    # RFC 9112 7.1 has no space there; h11 takes it, as some clients have sent it.
    "a chunk size must end with CRLF": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    # h11 has no bound of its own on bodies.
    "the body is longer than": get(more=b"Content-Length: 9999999\r\n"),
    # Nor has it one on the number of fields.
    "the request has more than": get(more=b"X: a\r\n" * 100),
    # h11 reads trailers as it reads headers, with bare LF and folds.
    "a trailer line must be": CHUNKED + b"0\r\na: b\nc: d\r\n\r\n",
}

LOOSER = {
    # RFC 9112 2.2 asks to ignore an empty line before the request line; h11 refuses it.
    "no request line received": b"\r\n" + get(),
    "illegal request line": b"\r",
    # RFC 9110 6.5.1: fields of framing mean nothing in a trailer section; h11 reads them as headers.
    "Only Transfer-Encoding: chunked": CHUNKED + b"0\r\nTransfer-Encoding: gzip\r\n\r\n",
    "bad Content-Length": CHUNKED + b"0\r\nContent-Length: a\r\n\r\n",
    "conflicting Content-Length": CHUNKED + b"0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
}


@pytest.mark.parametrize(("message", "data"), STRICTER.items(), ids=list(STRICTER))
def test_what_we_refuse_and_h11_takes(message: str, data: bytes) -> None:
    assert ours(data).refusal.startswith(message)
    assert not theirs(data).refusal


@pytest.mark.parametrize(("message", "data"), LOOSER.items(), ids=list(LOOSER))
def test_what_we_take_and_h11_refuses(message: str, data: bytes) -> None:
    assert not ours(data).refusal
    assert theirs(data).refusal.startswith(message)


PIECES = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b":",
            b",",
            b";",
            b"\x00",
            b"\x0b",
            b"\x7f",
            b"\xe9",
            b"#",
            b"@",
            b"0",
        ),
        *(
            b"\r\n ",
            b"\r\n\r\n",
            b"chunked",
            b"5",
            b"HTTP/1.0",
            b"HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: b\r\n\r\n",
        ),
        *(
            b"\r\nContent-Length: 5",
            b"\r\nTransfer-Encoding: chunked",
            b"\r\nHost: b",
            b"\r\nConnection: close",
        ),
        *(
            b"\r\nExpect: 100-continue",
            b"\r\nConnection: upgrade\r\nUpgrade: websocket",
            b"0\r\n\r\n",
            b"http://x",
        ),
    ]
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 4), st.one_of(st.just(b""), PIECES, st.binary(max_size=2))),
    max_size=3,
)


@settings(max_examples=600, derandomize=True)
@given(st.lists(requests(), min_size=1, max_size=2), CHANGES)
def test_the_verdicts_are_the_same(sent: list[Sent], changes: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(request.data for request in sent)
    for at, removed, added in changes:
        at %= len(data) + 1
        data = data[:at] + added + data[at + removed :]
    check_verdicts(data)


def check_verdicts(data: bytes) -> None:
    """Give bytes to both; the fuzzing harness `http1_peers` judges by this too."""
    mine, h11s = ours(data), theirs(data)
    # Who refuses first has fewer requests, or as many; the other goes on where the difference is a known one.
    for (method, target, body), other in zip(mine.requests, h11s.requests, strict=False):
        assert (method, body) == (other[0], other[2])
        # h11 leaves a target in absolute form as it is.
        assert target == other[1] or other[1][:1] != b"/"
    more = len(mine.requests) - len(h11s.requests)
    if more < 0 or (mine.refusal and not h11s.refusal):
        assert mine.refusal.startswith(tuple(STRICTER)), (data, mine)
    elif more > 0 or (h11s.refusal and not mine.refusal):
        assert h11s.refusal.startswith(tuple(LOOSER)), (data, h11s)
    else:
        assert mine.closed == h11s.closed
