"""`ChunkReader`; what it refuses is in the conformance tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwave.core.bodies import CHUNKS_PER_READ, EXTENSION, ChunkReader
from longwave.errors import RequestError
from longwave.limits import Limits


def read(data: bytes, limits: Limits | None = None, size: int = 0) -> tuple[bytes, bytes]:
    """Read a body in pieces of `size`; return it, and what was left over once it was finished."""
    reader = ChunkReader(limits or Limits())
    body = b""
    held = b""
    for start in range(0, len(data), size or len(data)):
        held += data[start : start + (size or len(data))]
        while not reader.finished:
            piece, used = reader.read(held, 0)
            held = held[used:]
            body += piece
            if not piece:
                break
    assert reader.finished
    return body, held


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_body_and_what_follows_it(size: int) -> None:
    assert read(b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx: y\r\n\r\nGET", size=size) == (
        b"hello world",
        b"GET",
    )


def test_a_buffer_is_read_from_the_offset_that_is_given() -> None:
    reader = ChunkReader(Limits())
    assert reader.read(b"....3\r\nabc\r\n2\r\nd", 4) == (b"abcd", 16)
    assert reader.read(bytearray(b"e\r\n0\r\n\r\nrest"), 0) == (b"e", 8)
    assert reader.finished


def test_tiny_chunks_are_read_in_bounded_pieces() -> None:
    reader = ChunkReader(Limits())
    data = b"1\r\na\r\n" * (CHUNKS_PER_READ + 10)
    body, at = reader.read(data, 0)
    assert len(body) == CHUNKS_PER_READ
    assert reader.read(data, at) == (b"a" * 10, len(data))


def test_the_size_is_counted_before_any_data_is_there() -> None:
    reader = ChunkReader(Limits(body=10))
    assert reader.read(b"a\r\n", 0) == (b"", 3)
    with pytest.raises(RequestError) as caught:
        ChunkReader(Limits(body=10)).read(b"b\r\n", 0)
    assert caught.value.status == 413


def test_one_extension_is_bounded() -> None:
    extension = b";" + b"a" * (EXTENSION - 1)
    assert read(b"1" + extension + b"\r\nx\r\n0\r\n\r\n") == (b"x", b"")
    with pytest.raises(RequestError) as caught:
        read(b"1" + extension + b"a\r\nx\r\n0\r\n\r\n")
    assert caught.value.status == 400


def test_all_extensions_are_bounded() -> None:
    limits = Limits(headers=100)
    ten = b"1;" + b"a" * 9 + b"\r\nx\r\n"
    assert read(ten * 10 + b"0\r\n\r\n", limits)[0] == b"x" * 10
    with pytest.raises(RequestError, match="extensions"):
        read(ten * 10 + b"0;\r\n\r\n", limits)


@pytest.mark.parametrize("size", [0, 1])
def test_trailers_are_bounded(size: int) -> None:
    limits = Limits(headers=100, header_count=3)
    long = b"0\r\na: " + b"b" * 95 + b"\r\n"
    assert read(long + b"\r\n", limits, size) == (b"", b"")
    with pytest.raises(RequestError) as caught:
        read(long.replace(b"bb", b"bbb", 1) + b"\r\n", limits, size)
    assert caught.value.status == 431
    assert read(b"0\r\n" + b"a: b\r\n" * 3 + b"\r\n", limits, size) == (b"", b"")
    with pytest.raises(RequestError) as caught:
        read(b"0\r\n" + b"a: b\r\n" * 4 + b"\r\n", limits, size)
    assert caught.value.status == 431


def test_a_trailer_line_without_end_is_bounded() -> None:
    with pytest.raises(RequestError) as caught:
        ChunkReader(Limits(headers=100)).read(b"0\r\n" + b"a" * 102, 0)
    assert caught.value.status == 431


def test_what_cannot_be_a_size_is_refused_before_its_line_is_complete() -> None:
    for start in (b"g", b"-", b" ", b"\r", b"5 ", b"5\rh", b"5;\x00", b"5;a\rb", b"0" * 17):
        with pytest.raises(RequestError) as caught:
            ChunkReader(Limits()).read(start, 0)
        assert caught.value.status == 400


def test_data_that_goes_on_is_refused_at_its_first_byte() -> None:
    reader = ChunkReader(Limits())
    assert reader.read(b"1\r\nx", 0) == (b"x", 4)
    assert reader.read(b"\r", 0) == (b"", 0)
    with pytest.raises(RequestError):
        reader.read(b"y", 0)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=8), st.integers(1, 50))
def test_any_body_comes_back(pieces: list[bytes], size: int) -> None:
    data = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert read(data + b"GET", size=size) == (b"".join(pieces), b"GET")
