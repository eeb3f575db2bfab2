"""One head: what it means, and what is refused; the rest is in the conformance tables."""

from __future__ import annotations

import httptools
import pytest

from longwave.core.heads import parse_fields, parse_head
from longwave.errors import RequestError
from longwave.limits import Limits
from tests.core.growth import LINEAR, growth

LIMITS = Limits()


def head(*lines: bytes, line: bytes = b"GET /a?b HTTP/1.1", host: bytes | None = b"h:1") -> bytes:
    """Return a head with these lines behind the Host."""
    hosts = [] if host is None else [b"Host: " + host]
    return b"\r\n".join([line, *hosts, *lines, b"", b""])


def test_names_are_lower_case_and_values_bare() -> None:
    raw = head(b"X-Thing:\t one  two \t", b"uSER-aGENT:x", b"Empty:", b"Accept: caf\xe9")
    parsed = parse_head(raw, LIMITS)
    assert parsed.headers == [
        (b"host", b"h:1"),
        (b"x-thing", b"one  two"),
        (b"user-agent", b"x"),
        (b"empty", b""),
        (b"accept", b"caf\xe9"),
    ]
    assert parsed.raw == raw
    assert parse_fields(raw) == parsed.headers


def test_fields_that_repeat_stay_in_order() -> None:
    parsed = parse_head(head(b"Cookie: a=1", b"X: y", b"Cookie: b=2"), LIMITS)
    assert parsed.headers[1:] == [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")]


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: keep-alive"], True),
        (b"1.1", [b"Connection: Close"], False),
        (b"1.1", [b"Connection: x , close"], False),
        (b"1.1", [b"Connection: x", b"Connection: close"], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.1", [b"Proxy-Connection: close"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: keep-alive, close"], False),
    ],
)
def test_keep_alive(version: bytes, lines: list[bytes], expected: bool) -> None:
    parsed = parse_head(head(*lines, line=b"GET / HTTP/" + version), LIMITS)
    assert parsed.http_version == version.decode()
    assert parsed.keep_alive is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"Upgrade: websocket", b"Connection: Upgrade"], True),
        ([b"UPGRADE: WebSocket", b"CONNECTION: keep-alive, upgrade"], True),
        ([b"Upgrade: h2c, websocket", b"Connection: Upgrade"], True),
        ([b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: x", b"Connection: Upgrade"], True),
        ([b"Upgrade: websocket"], False),
        ([b"Upgrade: websocket", b"Connection: keep-alive"], False),
        ([b"Upgrade: websocket", b"Connection: no-upgrade"], False),
        ([b"Connection: Upgrade"], False),
        ([b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"], False),
        ([b"Upgrade: websockets", b"Connection: Upgrade"], False),
    ],
)
def test_is_upgrade(lines: list[bytes], expected: bool) -> None:
    assert parse_head(head(*lines), LIMITS).is_upgrade is expected


def test_an_upgrade_to_anything_else_keeps_its_body() -> None:
    parsed = parse_head(head(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 5"), LIMITS)
    assert (parsed.is_upgrade, parsed.content_length) == (False, 5)


def test_a_handshake_with_a_body_is_refused_but_that_of_post_is_left_to_the_handshake() -> None:
    lines = (b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 5")
    with pytest.raises(RequestError, match="must not have a body"):
        parse_head(head(*lines), LIMITS)
    assert parse_head(head(*lines, line=b"POST / HTTP/1.1"), LIMITS).is_upgrade
    assert parse_head(head(*lines[:2], b"Content-Length: 0"), LIMITS).is_upgrade


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        (b"1.1", [b"Expect: 100-continue", b"Content-Length: 5"], True),
        (b"1.1", [b"Expect: 100-Continue", b"Transfer-Encoding: chunked"], True),
        (b"1.1", [b"Expect: 100-continue"], False),
        (b"1.1", [b"Expect: 100-continue", b"Content-Length: 0"], False),
        (b"1.0", [b"Expect: 100-continue", b"Content-Length: 5"], False),
        (b"1.0", [b"Expect: anything", b"Content-Length: 5"], False),
        (b"1.1", [b"Content-Length: 5"], False),
    ],
)
def test_expects_continue(version: bytes, lines: list[bytes], expected: bool) -> None:
    parsed = parse_head(head(*lines, line=b"POST / HTTP/" + version), LIMITS)
    assert parsed.expects_continue is expected


@pytest.mark.parametrize(
    ("target", "host", "reduced"),
    [
        (b"http://other:8/x?y", b"other:8", b"/x?y"),
        (b"HTTPS://[::1]/", b"[::1]", b"/"),
        (b"http://other", b"other", b"/"),
        (b"http://other?q", b"other", b"/?q"),
        (b"http://other//x", b"other", b"//x"),
    ],
)
def test_absolute_form_is_reduced_and_its_authority_wins(target: bytes, host: bytes, reduced: bytes) -> None:
    parsed = parse_head(head(b"X: y", line=b"GET " + target + b" HTTP/1.1"), LIMITS)
    assert parsed.target == reduced
    assert parsed.headers == [(b"host", host), (b"x", b"y")]
    assert parse_fields(parsed.raw) == parsed.headers
    assert parse_head(parsed.raw, LIMITS).target == reduced


def test_absolute_form_gives_a_host_to_http_1_0() -> None:
    parsed = parse_head(head(line=b"GET http://other/x HTTP/1.0", host=None), LIMITS)
    assert (parsed.target, parsed.headers) == (b"/x", [(b"host", b"other")])


def test_absolute_form_does_not_excuse_the_host() -> None:
    for host in (None, b"a b"):
        with pytest.raises(RequestError, match="Host"):
            parse_head(head(line=b"GET http://other/x HTTP/1.1", host=host), LIMITS)


def test_other_methods_pass_where_llhttp_knows_them() -> None:
    assert parse_head(head(line=b"QUERY / HTTP/1.1"), LIMITS).method == "QUERY"
    assert parse_head(head(line=b"M-SEARCH / HTTP/1.1"), LIMITS).method == "M-SEARCH"


def test_connect_is_told_what_is_allowed() -> None:
    with pytest.raises(RequestError) as caught:
        parse_head(head(line=b"CONNECT a:1 HTTP/1.1"), LIMITS)
    assert caught.value.status == 405
    assert "GET" in caught.value.headers["Allow"]


class Lenient(httptools.HttpRequestParser):
    """A parser that lets through what it can be made to let through."""

    def __init__(self, protocol: object) -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_transfer_encoding=True,
            lenient_version=True,
            lenient_optional_lf_after_cr=True,
            lenient_optional_cr_before_lf=True,
        )


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: chunked, gzip"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"X: a\x07"],
        [b"X: a\x00"],
        [b"X: a\nY: b"],
    ],
)
def test_framing_and_controls_are_refused_even_if_llhttp_lets_them_through(
    lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = head(*lines, line=b"POST / HTTP/1.1")
    monkeypatch.setattr(httptools, "HttpRequestParser", Lenient)
    assert parse_fields(raw)
    with pytest.raises(RequestError, match=r"must|control|only"):
        parse_head(raw, LIMITS)


def test_no_field_takes_long_to_check() -> None:
    for line in (b"Host: ", b"Connection: ", b"Upgrade: ", b"Expect: ", b"Transfer-Encoding: "):
        for filling in (b"a", b",", b" a", b"%20", b"["):

            def run(raw: bytes) -> None:
                try:
                    parse_head(raw, Limits(headers=10**7))
                except RequestError:
                    pass

            def make(n: int, line: bytes = line, filling: bytes = filling) -> bytes:
                return head(line + filling * (n // len(filling)), host=None if line == b"Host: " else b"h")

            assert growth(make, run, 8192) < LINEAR, (line, filling)
