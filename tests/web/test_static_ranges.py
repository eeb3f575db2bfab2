from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.types import Fields
from longwave.web.static import PIECE, WHOLE, StaticFiles, StaticReply, parse_range
from tests.core.growth import LINEAR, growth
from tests.web.site import DATE, get, header, make_project, static_of, streamed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "my-app")


@pytest.fixture
def static(project: Path) -> StaticFiles:
    return static_of(project)


async def pieces(reply: StaticReply) -> list[bytes]:
    return [piece async for piece in reply.body]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-0", (0, 1)),
        (b"bytes=0-9", (0, 10)),
        (b"bytes=2-", (2, 10)),
        (b"bytes=2-999", (2, 10)),
        (b"bytes=9-9", (9, 10)),
        (b"bytes=-3", (7, 10)),
        (b"bytes=-10", (0, 10)),
        (b"bytes=-11", (0, 10)),
        (b"Bytes= 1 - 2 ", (1, 3)),
        (b"bytes=0-" + b"9" * 5000, (0, 10)),
        (b"bytes=-" + b"9" * 5000, (0, 10)),
        # cannot be satisfied
        (b"bytes=10-", (10, 10)),
        (b"bytes=10-20", (10, 10)),
        (b"bytes=-0", (10, 10)),
        (b"bytes=" + b"9" * 5000 + b"-", (10, 10)),
        # to be ignored
        (b"", None),
        (b"bytes", None),
        (b"bytes=", None),
        (b"bytes=-", None),
        (b"bytes=5", None),
        (b"bytes=5-4", None),
        (b"bytes=20-19", None),
        (b"bytes=a-b", None),
        (b"bytes=1-b", None),
        (b"bytes=+1-2", None),
        (b"bytes=1_0-", None),
        (b"bytes=0x1-", None),
        (b"bytes=--1", None),
        (b"bytes=1-2-3", None),
        (b"bytes=\xb2-", None),
        (b"bytes=0-1,3-4", None),
        (b"bytes=0-1,", None),
        (b"lines=0-1", None),
    ],
)
def test_parse_range(value: bytes, expected: tuple[int, int] | None) -> None:
    assert parse_range(value, 10) == expected


@settings(max_examples=300, deadline=None)
@given(st.binary() | st.text("bytes=0123456789-, ").map(str.encode), st.integers(0, 200))
def test_any_range_is_within_the_file(value: bytes, size: int) -> None:
    for field in (value, b"bytes=" + value):
        found = parse_range(field, size)
        assert found is None or 0 <= found[0] <= found[1] <= size


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 100))
def test_ranges_are_slices(start: int, length: int, size: int) -> None:
    data = bytes(range(size))
    found = parse_range(b"bytes=%d-%d" % (start, start + length), size)
    assert found is not None
    assert data[found[0] : found[1]] == data[start : start + length + 1]


@pytest.mark.parametrize("unit", [b"1", b"1-", b"0-1,", b" ", b"=", b"-", b"9"])
def test_time_of_ranges_is_linear(unit: bytes) -> None:
    assert growth(lambda n: b"bytes=" + unit * n, lambda value: parse_range(value, 10), 20_000) < LINEAR


def test_a_range_is_206(static: StaticFiles) -> None:
    reply = get(static, "/app.js", [(b"range", b"bytes=1-2")])
    assert (reply.status, reply.body) == (206, b"et")
    assert header(reply, b"content-range") == b"bytes 1-2/5"
    assert header(reply, b"content-type") == b"text/javascript; charset=utf-8"


def test_a_small_range_of_a_large_file(static: StaticFiles) -> None:
    reply = get(static, "/big.bin", [(b"range", b"bytes=-2")])
    assert (reply.status, reply.body) == (206, b"\xfe\xff")
    assert header(reply, b"content-range") == b"bytes 1048574-1048575/1048576"


@pytest.mark.parametrize("path", ["/app.js", "/empty.txt"])
def test_a_range_that_is_not_there_is_416(static: StaticFiles, path: str) -> None:
    reply = get(static, path, [(b"range", b"bytes=5-")])
    assert (reply.status, reply.body) == (416, b"")
    assert header(reply, b"content-range") == (b"bytes */5" if path == "/app.js" else b"bytes */0")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"range", b"bytes=0-0,2-2")],
        [(b"range", b"bytes=0-0"), (b"range", b"bytes=2-2")],
        [(b"range", b"nonsense")],
    ],
)
def test_other_ranges_are_ignored(static: StaticFiles, headers: Fields) -> None:
    assert get(static, "/app.js", headers).status == 200


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"{tag}", 206),
        (DATE, 206),
        (b"W/{tag}", 200),
        (b'"a"', 200),
        (b"Sun, 06 Nov 1994 08:49:38 GMT", 200),
        (b"", 200),
    ],
)
def test_if_range(static: StaticFiles, value: bytes, status: int) -> None:
    tag = header(get(static, "/app.js"), b"etag")
    assert tag is not None
    headers = [(b"range", b"bytes=0-0"), (b"if-range", value.replace(b"{tag}", tag))]
    assert get(static, "/app.js", headers).status == status


def test_a_304_comes_before_a_range(static: StaticFiles) -> None:
    assert get(static, "/app.js", [(b"range", b"bytes=9-"), (b"if-none-match", b"*")]).status == 304


# Large files


def test_a_large_file_is_streamed(static: StaticFiles) -> None:
    reply = streamed(static, "/big.bin")
    assert (reply.status, reply.length) == (200, 1 << 20)
    assert header(reply, b"content-length") == b"1048576"
    assert header(reply, b"content-type") == b"application/octet-stream"
    got = asyncio.run(pieces(reply))
    assert b"".join(got) == bytes(range(256)) * 4096
    assert max(map(len, got)) <= PIECE


def test_a_large_range_is_streamed(static: StaticFiles) -> None:
    reply = streamed(static, "/big.bin", [(b"range", b"bytes=1-%d" % (WHOLE + 1))])
    assert (reply.status, reply.length) == (206, WHOLE + 1)
    assert header(reply, b"content-range") == b"bytes 1-%d/1048576" % (WHOLE + 1)
    assert header(reply, b"content-length") == b"%d" % (WHOLE + 1)
    assert b"".join(asyncio.run(pieces(reply))) == (bytes(range(256)) * 4096)[1 : WHOLE + 2]


def test_a_file_of_just_the_bound_is_read_at_once(project: Path, static: StaticFiles) -> None:
    (project / "public/bound.bin").write_bytes(b"x" * WHOLE)
    assert len(get(static, "/bound.bin").body) == WHOLE


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_stream_that_is_left_closes_its_file(static: StaticFiles) -> None:
    async def main() -> None:
        await asyncio.to_thread(open_files)
        before = open_files()
        reply = streamed(static, "/big.bin")
        assert open_files() == before
        async for _ in reply.body:
            assert open_files() == before + 1
            break
        await reply.body.aclose()  # type: ignore[attr-defined]
        assert open_files() == before

    asyncio.run(main())


def test_a_stream_that_is_cancelled_closes_its_file(static: StaticFiles) -> None:
    async def main() -> None:
        await asyncio.to_thread(open_files)
        before = open_files()
        task = asyncio.create_task(pieces(streamed(static, "/big.bin")))
        await asyncio.sleep(0)
        assert open_files() == before + 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert open_files() == before

    asyncio.run(main())


def test_a_stream_of_a_file_that_changed_ends_with_an_error(project: Path, static: StaticFiles) -> None:
    reply = streamed(static, "/big.bin")
    (project / "public/big.bin").write_bytes(b"y" * (1 << 20))
    with pytest.raises(OSError, match="changed"):
        asyncio.run(pieces(reply))


def test_a_stream_of_a_file_that_shrinks_ends_with_an_error(project: Path, static: StaticFiles) -> None:
    async def main() -> None:
        reply = streamed(static, "/big.bin")
        async for _ in reply.body:
            os.truncate(project / "public/big.bin", 10)

    with pytest.raises(OSError, match="shorter"):
        asyncio.run(main())
