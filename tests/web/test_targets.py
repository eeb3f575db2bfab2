"""Addresses of upstreams, paths that are handed on, fields that are not."""

from __future__ import annotations

import pytest

from longwave.errors import HTTPError
from longwave.web.targets import Target, clean_target, end_to_end, parse_target


@pytest.mark.parametrize(
    ("text", "target", "authority"),
    [
        ("http://localhost", Target("http", "localhost", 80, ""), "localhost"),
        (
            "HTTP://Example.com:8080/a/b?c=d",
            Target("http", "example.com", 8080, "/a/b?c=d"),
            "example.com:8080",
        ),
        ("https://example.com:443/", Target("https", "example.com", 443, "/"), "example.com"),
        ("http://[::1]:3000/x", Target("http", "::1", 3000, "/x"), "[::1]:3000"),
        ("http://h?q", Target("http", "h", 80, "/?q"), "h"),
        (
            "http+unix:///run/app.sock:/x?y",
            Target("http", "localhost", 0, "/x?y", "/run/app.sock"),
            "localhost",
        ),
        ("http+unix:///run/app.sock", Target("http", "localhost", 0, "", "/run/app.sock"), "localhost"),
    ],
)
def test_targets(text: str, target: Target, authority: str) -> None:
    found = parse_target(text, ("http", "https"))
    assert (found, found.authority) == (target, authority)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:3000",
        "/path",
        "ftp://host/",
        "ws://host/",
        "http://",
        "http:///path",
        "http://user@host/",
        "http://user:secret@host/",
        "http://host:99999/",
        "http://host:port/",
        "http://ho st/",
        "http://host/a b",
        "http://host/ä",
        "http://host/#x",
        "http://host/\r\nX: y",
        "http://host\\evil/",
        "http://[::1/",
        "http://a,b/",
        "http+unix://relative.sock:/x",
    ],
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(ValueError):
        parse_target(text, ("http", "https"))


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        (b"/", "/"),
        (b"*", "*"),
        (b"/a/b?c=/../d", "/a/b?c=/../d"),
        (b"/a/./b/../c", "/a/c"),
        (b"/a/%2e%2E/b", "/b"),
        (b"/../../a", "/a"),
        (b"/a/..", "/"),
        (b"/a/b/.", "/a/b/"),
        (b"/a%20b/%41/x.js", "/a%20b/%41/x.js"),
        (b"/%252e%252e/a", "/%252e%252e/a"),
        (b"/@fs/x/.vite/deps", "/@fs/x/.vite/deps"),
        (b"/a%2fb", "/a%2fb"),
        (b"//a//b/", "//a//b/"),
        (b"/caf\xc3\xa9?\xe9", "/caf%C3%A9?%E9"),
    ],
)
def test_paths_are_freed_of_dots(raw: bytes, cleaned: str) -> None:
    assert clean_target(raw) == cleaned


@pytest.mark.parametrize("raw", [b"/api/..%2fadmin", b"/api/x%2F..%2F..%2fadmin", b"/a%2f%2e%2e", b"/%2e%2f"])
def test_dots_behind_an_encoded_slash_are_refused(raw: bytes) -> None:
    with pytest.raises(HTTPError) as caught:
        clean_target(raw)
    assert caught.value.status == 400


def test_fields_of_one_connection_alone_stay() -> None:
    fields = [
        (b"host", b"x"),
        (b"connection", b"close, X-Private"),
        (b"connection", b"other"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"proxy-authorization", b"secret"),
        (b"x-private", b"1"),
        (b"other", b"2"),
        (b"cookie", b"a=b"),
        (b"x-mine", b"3"),
    ]
    assert end_to_end(fields) == [(b"host", b"x"), (b"cookie", b"a=b"), (b"x-mine", b"3")]
    assert end_to_end(fields, "Host", "cookie") == [(b"x-mine", b"3")]
