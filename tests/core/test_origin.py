"""Which pages may open a WebSocket."""

from __future__ import annotations

import pytest

from longwave.core.origin import check_origin
from longwave.errors import HTTPError
from longwave.types import Fields


def fields(origin: str | None, host: str | None = "example.com") -> Fields:
    made: Fields = [(b"accept", b"*/*")]
    if host is not None:
        made.append((b"host", host.encode("latin-1")))
    if origin is not None:
        made.append((b"origin", origin.encode("latin-1")))
    return made


def allowed(
    origin: str | None,
    host: str | None = "example.com",
    *entries: str,
    scheme: str | None = None,
    dev: bool = False,
) -> bool:
    try:
        check_origin(fields(origin, host), scheme, entries, dev)
    except HTTPError:
        return False
    return True


@pytest.mark.parametrize("dev", [False, True])
@pytest.mark.parametrize("scheme", [None, "http", "https"])
def test_no_origin_is_no_browser(scheme: str | None, dev: bool) -> None:
    assert allowed(None, scheme=scheme, dev=dev)
    assert allowed(None, None, scheme=scheme, dev=dev)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://example.com", "example.com", "http"),
        ("http://example.com", "example.com:80", "http"),
        ("http://example.com:80", "example.com", "http"),
        ("https://example.com", "example.com", "https"),
        ("https://example.com", "example.com:443", "https"),
        ("http://example.com:3000", "example.com:3000", "http"),
        ("HTTP://Example.COM:3000", "eXAMPLE.com:3000", "http"),
        ("http://localhost:3000", "localhost:3000", "http"),
        ("http://127.0.0.1:3000", "127.0.0.1:3000", "http"),
        ("http://[::1]:3000", "[::1]:3000", "http"),
        ("http://xn--caf-dma.example", "xn--caf-dma.example", "http"),
        # Behind a proxy that ends TLS and does not say so.
        ("https://example.com", "example.com", None),
        ("http://example.com", "example.com", None),
        ("https://example.com:8443", "example.com:8443", None),
    ],
)
def test_the_same_origin_passes(origin: str, host: str, scheme: str | None) -> None:
    assert allowed(origin, host, scheme=scheme)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("null", "example.com", "http"),
        ("null", "null", "http"),
        ("", "example.com", "http"),
        ("http://evil.com", "example.com", "http"),
        ("http://evil-example.com", "example.com", "http"),
        ("http://example.com.evil.com", "example.com", "http"),
        ("http://sub.example.com", "example.com", "http"),
        ("http://example.com", "sub.example.com", "http"),
        ("http://example.com:3000", "example.com:3001", "http"),
        ("http://example.com:3000", "example.com", "http"),
        ("http://example.com", "example.com:3000", "http"),
        ("https://example.com", "example.com", "http"),
        ("http://example.com", "example.com", "https"),
        ("https://example.com:80", "example.com", "http"),
        ("https://example.com", "example.com:80", None),
        ("http://localhost:5173", "localhost:3000", "http"),
        ("http://localhost", "127.0.0.1", "http"),
        ("http://user@example.com", "example.com", "http"),
        ("http://example.com@evil.com", "example.com", "http"),
        ("http://example.com/", "example.com", "http"),
        ("http://example.com/path", "example.com", "http"),
        ("http://example.com?x", "example.com", "http"),
        ("http://example.com#x", "example.com", "http"),
        ("http://example.com\\.evil.com", "example.com", "http"),
        ("http://example.com http://evil.com", "example.com", "http"),
        ("http://example.com, http://example.com", "example.com", "http"),
        ("http://example.com:", "example.com", "http"),
        ("http://example.com:80x", "example.com", "http"),
        ("http://example.com.", "example.com", "http"),
        ("http://\xe9xample.com", "\xe9xample.com", "http"),
        ("ftp://example.com", "example.com", None),
        ("file://", "example.com", None),
        ("chrome-extension://abcdef", "abcdef", None),
        ("example.com", "example.com", None),
        ("//example.com", "example.com", None),
        ("http://example.com", None, "http"),
        ("http://example.com", "", "http"),
        ("http://example.com", "user@example.com", "http"),
        ("http://example.com", "example.com/x", "http"),
    ],
)
def test_a_foreign_origin_is_refused(origin: str, host: str | None, scheme: str | None) -> None:
    assert not allowed(origin, host, scheme=scheme)


def test_a_doubled_origin_is_refused_whatever_is_allowed() -> None:
    twice = [*fields("http://example.com"), (b"origin", b"http://example.com")]
    for entries in ((), ("*",), ("http://example.com",)):
        with pytest.raises(HTTPError):
            check_origin(twice, "http", entries, True)


def test_an_origin_may_be_required() -> None:
    check_origin(fields(None), None)
    with pytest.raises(HTTPError, match=r"security\.require_origin"):
        check_origin(fields(None), None, required=True)
    check_origin(fields("https://example.com"), None, required=True)
    with pytest.raises(HTTPError, match=r"security\.origins"):
        check_origin(fields("https://evil.example"), None, required=True)


def test_a_doubled_host_matches_nothing() -> None:
    with pytest.raises(HTTPError):
        check_origin([*fields("http://example.com"), (b"host", b"example.com")], "http")


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:5173",
        "https://localhost:1",
        "http://127.0.0.1:9",
        "http://[::1]:5173",
    ],
)
def test_dev_takes_localhost_on_any_port(origin: str) -> None:
    assert allowed(origin, "localhost:3000", scheme="http", dev=True)
    assert not allowed(origin, "localhost:3000", scheme="http")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil-localhost",
        "http://evil.localhost",
        "http://localhost.evil.com",
        "http://localhost.",
        "http://127.0.0.1.evil.com",
        "http://evil127.0.0.1",
        "http://127.0.0.2",
        "http://evil.com",
        "ftp://localhost",
    ],
)
def test_dev_takes_nothing_else(origin: str) -> None:
    assert not allowed(origin, "localhost:3000", scheme="http", dev=True)


@pytest.mark.parametrize(
    ("entry", "good", "bad"),
    [
        (
            "https://app.example.com",
            ["https://app.example.com", "https://APP.example.com", "https://app.example.com:443"],
            ["http://app.example.com", "https://app.example.com:8443", "https://x.app.example.com"],
        ),
        ("https://app.example.com/", ["https://app.example.com"], ["https://app.example.com/x"]),
        ("https://a.com:8443", ["https://a.com:8443"], ["https://a.com", "http://a.com:8443"]),
        (
            "app.example.com",
            ["https://app.example.com", "http://app.example.com:3000"],
            ["https://example.com", "https://evilapp.example.com", "ftp://app.example.com"],
        ),
        ("a.com:3000", ["http://a.com:3000", "https://a.com:3000"], ["http://a.com", "http://a.com:3001"]),
        (
            "*.example.com",
            ["https://a.example.com", "http://a.b.example.com:99"],
            [
                "https://example.com",
                "https://evilexample.com",
                "https://.example.com",
                "https://a.example.com.evil",
            ],
        ),
        (
            "https://*.example.com",
            ["https://a.example.com", "https://a.b.example.com"],
            ["http://a.example.com", "https://a.example.com:8443", "https://example.com"],
        ),
        ("file://", ["file://"], ["", "http://file"]),
        ("null", ["null"], ["http://null.example", "https://a.com"]),
        ("capacitor://localhost", ["capacitor://localhost"], ["http://localhost", "capacitor://other"]),
        ("*", ["null", "https://anything.example", "chrome-extension://abc"], []),
        ("/", [], ["", "https://a.com"]),
        ("", [], ["", "https://a.com", "null"]),
        ("not an origin", [], ["https://a.com"]),
    ],
)
def test_what_a_setting_allows(entry: str, good: list[str], bad: list[str]) -> None:
    assert [origin for origin in good if not allowed(origin, "host", entry)] == []
    assert [origin for origin in bad if allowed(origin, "host", entry)] == []
    assert [origin for origin in good if not allowed(origin, "host", "https://first.example", entry)] == []


def test_the_refusal_names_the_setting_and_both_values() -> None:
    with pytest.raises(HTTPError) as caught:
        check_origin(fields("https://evil.example", "localhost:3000"), "http")
    assert caught.value.status == 403
    message = str(caught.value)
    for part in ("security.origins", "https://evil.example", "localhost:3000", "http"):
        assert part in message


def test_the_refusal_is_short_and_printable() -> None:
    with pytest.raises(HTTPError) as caught:
        check_origin([(b"origin", b"x\x1b" * 5000)] * 50 + [(b"host", b"\x00" * 5000)], None)
    message = str(caught.value)
    assert len(message) < 5000
    assert message.isprintable()
