"""Responses as bytes: framing, what a handler may say, and that nothing can be injected."""

from __future__ import annotations

import json
from http import HTTPStatus

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwave.core.http1_write import (
    CONTINUE,
    LAST_CHUNK,
    asks_close,
    check_field,
    chunk,
    encode_error,
    encode_head,
    encode_response,
    has_body,
    stream_framing,
)
from longwave.types import Fields

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
JSON: Fields = [(b"content-type", b"application/json")]


def lines(response: bytes) -> list[bytes]:
    """Return the field lines of a response."""
    return response.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]


def test_a_response_byte_for_byte() -> None:
    assert encode_response(200, JSON, b"{}", date=DATE) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n{}"
    )
    assert encode_response(404, [], b"") == b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("status", [100, 199, 204, 205, 304])
def test_statuses_without_a_body_lose_it(status: int) -> None:
    response = encode_response(status, [], b"text")
    assert response.endswith(b"\r\n\r\n")
    assert not has_body(status)
    told = [line for line in lines(response) if line.startswith(b"content-length")]
    assert told == {205: [b"content-length: 0"], 304: [b"content-length: 4"]}.get(status, [])


@pytest.mark.parametrize("status", [100, 204])
def test_no_length_is_told_where_none_may_be(status: int) -> None:
    given_length = [(b"content-length", b"5")]
    for head_only in (False, True):
        assert lines(encode_response(status, given_length, head_only=head_only)) == []
    assert lines(encode_head(status, given_length)) == []


def test_head_tells_the_length_and_leaves_the_body_out() -> None:
    assert encode_response(200, [], b"text", head_only=True) == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"
    )
    assert lines(encode_response(200, [(b"content-length", b"77")], head_only=True)) == [
        b"content-length: 77"
    ]
    assert lines(encode_response(200, [], head_only=True)) == [b"content-length: 0"]
    assert lines(encode_response(304, [(b"content-length", b"77")])) == [b"content-length: 77"]
    assert lines(encode_response(304, [])) == []


def test_framing_is_not_for_handlers() -> None:
    fields = [
        (b"Content-Length", b"99"),
        (b"transfer-encoding", b"chunked"),
        (b"x", b"y"),
        (b"connection", b"keep-alive"),
    ]
    assert lines(encode_response(200, fields, b"text")) == [b"x: y", b"content-length: 4"]


def test_a_handler_may_ask_to_close() -> None:
    fields = [(b"Connection", b"x, Close")]
    assert asks_close(fields)
    assert not asks_close([(b"connection", b"keep-alive"), (b"x", b"close")])
    assert lines(encode_response(200, fields)) == [b"content-length: 0", b"connection: x, close"]


def test_upgrade_is_named_in_connection() -> None:
    for fields in ([(b"upgrade", b"websocket")], [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]):
        assert lines(encode_response(426, fields, keep_alive=False)) == [
            b"upgrade: websocket",
            b"content-length: 0",
            b"connection: upgrade, close",
        ]


@pytest.mark.parametrize(
    ("http_version", "keep_alive", "expected"),
    [
        ("1.1", True, []),
        ("1.1", False, [b"connection: close"]),
        ("1.0", True, [b"connection: keep-alive"]),
        ("1.0", False, [b"connection: close"]),
    ],
)
def test_connection(http_version: str, keep_alive: bool, expected: list[bytes]) -> None:
    response = encode_response(200, [], keep_alive=keep_alive, http_version=http_version)
    assert response.startswith(b"HTTP/1.1 ")
    assert lines(response)[1:] == expected


def test_one_date() -> None:
    assert lines(encode_head(200, [(b"date", b"mine")], date=DATE)) == [b"date: mine"]
    assert lines(encode_head(200, [], date=DATE)) == [b"date: " + DATE]
    assert lines(encode_head(200, [])) == []


def test_the_head_of_a_stream() -> None:
    assert encode_head(200, JSON, chunked=True) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    length = [(b"content-length", b"5")]
    assert lines(encode_head(200, length)) == [b"content-length: 5"]
    assert lines(encode_head(200, length, chunked=True)) == [b"transfer-encoding: chunked"]
    for wrong in ([*length, *length], [(b"content-length", b"-5")], [(b"content-length", b"")]):
        with pytest.raises(ValueError, match="content-length"):
            encode_head(200, wrong)


@pytest.mark.parametrize(
    ("status", "headers", "http_version", "head_only", "expected"),
    [
        (200, [], "1.1", False, (True, True)),
        (200, [], "1.1", True, (True, True)),
        (200, [(b"Content-Length", b"5")], "1.1", False, (False, True)),
        (200, [(b"content-length", b"5")], "1.0", False, (False, True)),
        (200, [], "1.0", False, (False, False)),
        (200, [], "1.0", True, (False, True)),
        (204, [], "1.1", False, (False, True)),
        (304, [], "1.0", False, (False, True)),
    ],
)
def test_how_a_stream_is_framed(
    status: int, headers: Fields, http_version: str, head_only: bool, expected: tuple[bool, bool]
) -> None:
    assert expected == stream_framing(
        status, headers, http_version=http_version, head_only=head_only, keep_alive=True
    )
    chunked, keep_alive = stream_framing(
        status, headers, http_version=http_version, head_only=head_only, keep_alive=False
    )
    assert (chunked, keep_alive) == (expected[0], False)


def test_chunks() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert chunk(b"") == b""
    assert LAST_CHUNK == b"0\r\n\r\n"
    assert CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_an_error_is_json_and_closes() -> None:
    response = encode_error(405, 'no "proxy"', {"Allow": "GET, HEAD"}, date=DATE)
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert lines(response) == [
        b"content-type: application/json",
        b"allow: GET, HEAD",
        b"content-length: %d" % len(body),
        b"date: " + DATE,
        b"connection: close",
    ]
    assert json.loads(body) == {"error": True, "status": 405, "message": 'no "proxy"'}
    assert encode_error(405, "no", head_only=True).endswith(b"\r\n\r\n")


def test_every_status_has_a_line() -> None:
    for status in HTTPStatus:
        assert encode_head(status.value, []).startswith(
            b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
        )
    assert encode_head(599, []) == b"HTTP/1.1 599 \r\n\r\n"
    for status_number in (0, 99, 600, -1, 1000):
        with pytest.raises(ValueError, match="status"):
            encode_head(status_number, [])


BAD_VALUES = [b"a\r\nSet-Cookie: b=c", b"a\nb", b"a\rb", b"a\x00b", b"a\x07", b"\x7f", b"\r\n", b"a\r\n"]


@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize(
    "name", [b"location", b"x-own", b"set-cookie", b"content-length", b"connection", b"date"]
)
def test_no_value_injects_anything(name: bytes, value: bytes) -> None:
    for headers in ([(name, value)], [(b"x", b"y"), (name, value), (b"z", b"")]):
        with pytest.raises(ValueError, match=name.decode()):
            encode_response(200, headers, b"text")
        with pytest.raises(ValueError, match=name.decode()):
            encode_head(200, headers)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"a\x00", b"caf\xe9", b"(a)", b" a"])
def test_no_name_injects_anything(name: bytes) -> None:
    with pytest.raises(ValueError, match="name"):
        encode_response(200, [(name, b"value")])


def test_the_date_injects_nothing() -> None:
    with pytest.raises(ValueError, match="date"):
        encode_head(200, [], date=b"a\r\nb: c")


def test_check_field_returns_what_goes_out() -> None:
    assert check_field("X-Own", " café\t") == (b"x-own", b"caf\xe9")
    assert check_field(b"X-Own", b"caf\xe9") == (b"x-own", b"caf\xe9")
    for name, value in (
        ("x", "€"),
        ("x", "a\nb"),
        ("é", "a"),
        ("€", "a"),
        ("", "a"),
        ("x", "a\x00"),
        ("a b", ""),
    ):
        with pytest.raises(ValueError, match="header"):
            check_field(name, value)


_values = st.binary(max_size=12)
_names = st.one_of(st.sampled_from([b"location", b"vary", b"x-own", b"upgrade"]), st.binary(max_size=6))


@given(st.lists(st.tuples(_names, _values), max_size=5), st.binary(max_size=20), st.booleans())
def test_what_goes_out_is_one_response_to_h11(headers: Fields, body: bytes, head_only: bool) -> None:
    try:
        response = encode_response(200, headers, body, head_only=head_only, date=DATE)
    except ValueError:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="HEAD" if head_only else "GET", target="/", headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response)
    head = client.next_event()
    assert isinstance(head, h11.Response)
    got = b""
    while isinstance(event := client.next_event(), h11.Data):
        got += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert got == (b"" if head_only else body)
    assert client.trailing_data == (b"", False)
    dropped = {b"content-length", b"transfer-encoding", b"connection"}
    kept = [name.lower() for name, _ in headers if name.lower() not in dropped]
    assert [name for name, _ in head.headers if name not in {*dropped, b"date"}] == [
        n for n in kept if n != b"date"
    ]
