from __future__ import annotations

from typing import Any

import pytest

from longwave.app.headers import Headers, encode_field_value, encode_fields, encode_name

FIELDS = [(b"accept", b"a"), (b"cookie", b"x=1"), (b"accept", b"b"), (b"cookie", b"y=2"), (b"x", b"\xe9")]


def test_a_mapping_in_any_case() -> None:
    headers = Headers(FIELDS)
    assert headers["Accept"] == headers["ACCEPT"] == "a, b"
    assert headers["cookie"] == "x=1; y=2"
    assert headers.get_all("Accept") == ["a", "b"] and headers.get_all("none") == []
    assert headers["X"] == "é"
    assert "x" in headers and "Y" not in headers and "\u20ac" not in headers
    assert headers.get("y") is None
    assert list(headers) == ["accept", "cookie", "x"] and len(headers) == 3
    assert dict(headers) == {"accept": "a, b", "cookie": "x=1; y=2", "x": "é"}
    assert repr(headers) == "Headers(['accept', 'cookie', 'x'])"
    with pytest.raises(KeyError):
        headers["none"]


def test_what_becomes_a_field() -> None:
    assert encode_fields({"X-One": " a\tb "}) == [(b"x-one", b"a\tb")]
    assert encode_fields([("a", "1"), ("A", "2")]) == [(b"a", b"1"), (b"a", b"2")]
    assert encode_fields(()) == []
    assert encode_name("X!#$%&'*+-.^_`|~9") == b"x!#$%&'*+-.^_`|~9"
    assert encode_field_value("x", "é") == b"\xe9"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", "a\0"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="no header name"):
        encode_fields({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b", "\u20ac"])
def test_values_that_would_inject_or_cannot_be_sent(value: str) -> None:
    with pytest.raises(ValueError, match="header 'x'"):
        encode_fields({"x": value})


@pytest.mark.parametrize("value", [5, None, b"x"])
def test_values_are_text(value: Any) -> None:
    with pytest.raises(TypeError, match="is a str, not"):
        encode_fields({"x": value})
