from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core.cookies import encode_cookie, parse_cookies
from tests.core.growth import LINEAR, growth

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
OCTETS = "".join(chr(n) for n in range(0x21, 0x7F) if chr(n) not in '",;\\')


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ([], {}),
        ([b""], {}),
        ([b"a=1; b=2"], {"a": "1", "b": "2"}),
        ([b"a=1;b=2;"], {"a": "1", "b": "2"}),
        ([b"a=1", b"b=2"], {"a": "1", "b": "2"}),
        ([b"a=1; a=2"], {"a": "1"}),
        ([b"a=1", b"a=2"], {"a": "1"}),
        ([b" a\t=  1 "], {"a": "1"}),
        ([b'a="1 2"'], {"a": "1 2"}),
        ([b'a="'], {"a": '"'}),
        ([b'a=""'], {"a": ""}),
        ([b"a="], {"a": ""}),
        ([b"a=b=c=="], {"a": "b=c=="}),
        ([b"a; =1; ;; b=2"], {"b": "2"}),
        ([b"a=%41+"], {"a": "%41+"}),
        ([b"a=\xc3\xa9; b=\xff"], {"a": "é", "b": "\ufffd"}),
    ],
)
def test_cookies(lines: list[bytes], cookies: dict[str, str]) -> None:
    assert parse_cookies(lines) == cookies


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary() | st.text('a=";, \t').map(str.encode)))
def test_any_input_has_cookies_or_not(lines: list[bytes]) -> None:
    for name, value in parse_cookies(iter(lines)).items():
        assert name
        assert ";" not in name + value
        assert name == name.strip(" \t")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(TOKEN, min_size=1), st.text(OCTETS)))
def test_what_is_set_comes_back(cookies: dict[str, str]) -> None:
    sent = [
        encode_cookie(name, value, secure=True).split(b";")[0]
        for name, value in cookies.items()
        if not name.lower().startswith("__host-")
    ]
    back = parse_cookies([b"; ".join(sent)])
    assert back == {name: value for name, value in cookies.items() if not name.lower().startswith("__host-")}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, b"a=1; Path=/"),
        ({"path": None}, b"a=1"),
        ({"max_age": 60}, b"a=1; Max-Age=60; Path=/"),
        ({"max_age": 0}, b"a=1; Max-Age=0; Path=/"),
        ({"expires": 784111777.9}, b"a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/"),
        (
            {"expires": datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)},
            b"a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/",
        ),
        ({"domain": "example.com", "path": "/x y"}, b"a=1; Domain=example.com; Path=/x y"),
        (
            {"secure": True, "http_only": True, "same_site": "none", "partitioned": True},
            b"a=1; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
        ),
        ({"same_site": "lax"}, b"a=1; Path=/; SameSite=Lax"),
        ({"same_site": "strict"}, b"a=1; Path=/; SameSite=Strict"),
    ],
)
def test_set_cookie(options: dict[str, Any], field: bytes) -> None:
    assert encode_cookie("a", "1", **options) == field


@pytest.mark.parametrize(
    ("name", "value", "options", "names"),
    [
        ("", "1", {}, "name"),
        ("a b", "1", {}, "name"),
        ("a=", "1", {}, "name"),
        ("a\r\nx", "1", {}, "name"),
        ("é", "1", {}, "name"),
        ("a", "1 2", {}, "value"),
        ("a", "1;2", {}, "value"),
        ("a", "1,2", {}, "value"),
        ("a", '"1"', {}, "value"),
        ("a", "1\\", {}, "value"),
        ("a", "1\r\nset-cookie: b=2", {}, "value"),
        ("a", "1\n", {}, "value"),
        ("a", "\0", {}, "value"),
        ("a", "é", {}, "value"),
        ("a", "\ud800", {}, "value"),
        ("a", "1", {"path": "x"}, "path"),
        ("a", "1", {"path": ""}, "path"),
        ("a", "1", {"path": "/;secure"}, "path"),
        ("a", "1", {"path": "/\r\n"}, "path"),
        ("a", "1", {"path": "/é"}, "path"),
        ("a", "1", {"domain": "a b"}, "domain"),
        ("a", "1", {"domain": "a\n"}, "domain"),
        ("a", "1", {"domain": ""}, "domain"),
        ("a", "1", {"domain": "exämple.com"}, "domain"),
        ("a", "1", {"max_age": 1.5}, "max_age"),
        ("a", "1", {"max_age": "1"}, "max_age"),
        ("a", "1", {"max_age": True}, "max_age"),
        ("a", "1", {"expires": float("inf")}, "years"),
        ("a", "1", {"expires": datetime(2024, 1, 1)}, "time zone"),
        ("a", "1", {"same_site": "Sometimes"}, "same_site"),
        ("a", "1", {"same_site": "none"}, "secure"),
        ("a", "1", {"partitioned": True}, "secure"),
        ("__Secure-a", "1", {}, "secure"),
        ("__Host-a", "1", {}, "secure"),
        ("__host-a", "1", {"secure": True, "path": "/x"}, "path"),
        ("__Host-a", "1", {"secure": True, "domain": "example.com"}, "domain"),
    ],
)
def test_what_cannot_be_set_is_a_value_error(
    name: str, value: str, options: dict[str, Any], names: str
) -> None:
    with pytest.raises(ValueError, match=names):
        encode_cookie(name, value, **options)


@settings(max_examples=300, deadline=None)
@given(st.text(), st.text(), st.none() | st.text(), st.none() | st.text())
def test_nothing_is_injected(name: str, value: str, path: str | None, domain: str | None) -> None:
    try:
        field = encode_cookie(name, value, path=path, domain=domain)
    except ValueError:
        return
    assert field.isascii()
    assert field.decode().isprintable()
    attributes = 1 + (path is not None) + (domain is not None)
    assert field.count(b";") == attributes - 1


@pytest.mark.parametrize("unit", [b"a=1; ", b";", b"=", b'a="', b" ", b'"'])
def test_time_is_linear(unit: bytes) -> None:
    assert growth(lambda n: [unit * n], parse_cookies, 10_000) < LINEAR
