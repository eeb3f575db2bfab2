"""`ResponseReader`: what is read of an answer, and what is refused."""

from __future__ import annotations

import pytest

from longwave.core.http1 import Data, End
from longwave.core.http1_response import INTERIM, ResponseHead, ResponseReader
from longwave.errors import UpstreamError
from longwave.limits import Limits


def read(
    raw: bytes, method: str = "GET", *, size: int = 0, limits: Limits | None = None
) -> tuple[int, bytes, bool]:
    """Read an answer in pieces; return its status, its body, and whether it ended before the connection."""
    reader = ResponseReader(method, limits or Limits())
    status, body, ended = 0, b"", False
    step = size or len(raw) or 1
    pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
    for piece in [*pieces, None]:
        if piece is None:
            if ended:
                return status, body, True
            reader.receive_end()
        else:
            reader.receive(piece)
        while (event := reader.next_event()) is not None:
            if isinstance(event, ResponseHead):
                status = event.status
            elif isinstance(event, Data):
                body += event.data
            else:
                assert isinstance(event, End)
                ended = True
    assert ended
    return status, body, False


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("size", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("raw", "method", "expected"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello", "GET", (200, b"hello", True)),
        (HEAD + b"content-length: 0\r\n\r\n", "GET", (200, b"", True)),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: 1\r\n\r\n",
            "GET",
            (200, b"abcde", True),
        ),
        (HEAD + b"\r\nuntil the end", "GET", (200, b"until the end", False)),
        (b"HTTP/1.0 200\r\n\r\nold", "GET", (200, b"old", False)),
        (HEAD + b"Content-Length: 5\r\n\r\n", "HEAD", (200, b"", True)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", (304, b"", True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE", (204, b"", True)),
        (
            b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 \r\n\r\n"
            + HEAD
            + b"Content-Length: 1\r\n\r\n!",
            "GET",
            (200, b"!", True),
        ),
        (b"HTTP/1.1 599 \xfcber\r\nContent-Length: 0\r\n\r\n", "GET", (599, b"", True)),
    ],
)
def test_what_is_read(raw: bytes, method: str, expected: tuple[int, bytes, bool], size: int) -> None:
    assert read(raw, method, size=size) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 600 x\r\n\r\n",
        b"HTTP/1.1  200 x\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 \r\n\r\n" * (INTERIM + 1) + HEAD + b"\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
        HEAD + b"Content-Length: +5\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"X: a\r\n b\r\n\r\n",
        HEAD + b"X: a\x00b\r\n\r\n",
        HEAD + b"X: a\rb\r\n\r\n",
        HEAD + b"X: a\nSet-Cookie: b\r\n\r\n",
        HEAD + b"X : a\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    ],
    ids=range(28),
)
@pytest.mark.parametrize("size", [0, 1])
def test_what_is_refused(raw: bytes, size: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        read(raw, size=size)
    assert caught.value.status == 502


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"X: " + b"y" * 1100 + b"\r\n\r\n",
        HEAD + b"X: y\r\n" * 20 + b"\r\n",
        b"HTTP/1.1 200 " + b"y" * 3000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: y\r\n" * 20,
    ],
)
def test_heads_and_trailers_are_bounded(raw: bytes) -> None:
    limits = Limits(request_line=1000, headers=1000, header_count=10)
    with pytest.raises(UpstreamError):
        read(raw, limits=limits, size=100)


def test_an_endless_head_is_not_kept() -> None:
    reader = ResponseReader("GET", Limits())
    taken = 0
    with pytest.raises(UpstreamError):
        for _ in range(1000):
            reader.receive(b"x" * 1000)
            taken += 1000
            reader.next_event()
    assert taken < 30_000
