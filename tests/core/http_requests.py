"""Requests at random, for the tests of `http1`."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from hypothesis import strategies as st

__all__ = ["Sent", "cut", "pipelines", "requests"]

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SPECIAL = {"host", "connection", "content-length", "transfer-encoding", "upgrade", "expect"}
HOSTS = (b"localhost", b"127.0.0.1:80", b"[::1]:3000", b"a.example")


class Sent(NamedTuple):
    """A request as it is sent, and what must be read of it."""

    data: bytes
    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


_text = st.binary(max_size=20).map(
    lambda raw: bytes(b for b in raw if b == 9 or 32 <= b != 127).strip(b" \t")
)
_names = st.text(TOKEN, min_size=1, max_size=12).filter(lambda name: name.lower() not in SPECIAL)
_fields = st.lists(st.tuples(_names.map(str.encode), _text), max_size=8)
_targets = st.text([chr(code) for code in range(0x21, 0x7F) if code != 0x23], max_size=20).map(
    lambda text: b"/" + text.encode()
)
_space = st.sampled_from([b"", b" ", b"\t", b"  "])
_chunks = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """Return one valid request, without a body, with a length, or in chunks."""
    method = draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]))
    target = draw(_targets)
    fields = [(b"Host", draw(st.sampled_from(HOSTS))), *draw(_fields)]
    kind = draw(st.sampled_from(["none", "length", "chunks"]))
    body = wire = b""
    if kind == "length":
        body = wire = draw(st.binary(max_size=200))
        fields.append((b"Content-Length", b"%d" % len(body)))
    elif kind == "chunks":
        pieces = draw(_chunks)
        body = b"".join(pieces)
        fields.append((b"transfer-encoding", b"Chunked"))
        for piece in pieces:
            extension = draw(st.sampled_from([b"", b";a", b';a="b c"', b";"]))
            wire += b"%x%b\r\n%b\r\n" % (len(piece), extension, piece)
        wire += b"0\r\n%b\r\n" % draw(st.sampled_from([b"", b"a: b\r\n", b"Host:\r\nx:\ty\r\n"]))
    lines = [
        # llhttp takes no tab after a transfer coding.
        b"%b:%b%b%b" % (name, draw(_space), value, b" " if name == b"transfer-encoding" else draw(_space))
        for name, value in draw(st.permutations(fields))
    ]
    data = b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method.encode(), target, b"\r\n".join(lines), wire)
    headers = [(line.split(b":")[0].lower(), line.partition(b":")[2].strip(b" \t")) for line in lines]
    return Sent(data, method, target, headers, body)


pipelines = st.lists(requests(), min_size=1, max_size=4)
"""Some requests that are sent one behind the other."""


def cut(data: bytes, offsets: list[int]) -> list[bytes]:
    """Return the data cut at the offsets, each taken modulo its length."""
    places = sorted({offset % (len(data) + 1) for offset in offsets} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]
