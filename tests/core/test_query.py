from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core.query import MAX_FIELDS, MissingKey, Query, parse_query
from longwave.errors import HTTPError
from tests.core.growth import LINEAR, growth

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def pairs(query: Query) -> list[tuple[str, str]]:
    return [(name, value) for name in query for value in query.get_all(name)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", []),
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=1", [("", "1")]),
        ("a=b=c", [("a", "b=c")]),
        ("&&a=1&", [("a", "1")]),
        ("a=1&a=2&b=3&a=4", [("a", "1"), ("a", "2"), ("a", "4"), ("b", "3")]),
        ("a+b=c+d", [("a b", "c d")]),
        ("a%2Bb=%26%3D", [("a+b", "&=")]),
        ("a=%2541", [("a", "%41")]),
        ("a=%", [("a", "%")]),
        ("a=%zz%4", [("a", "%zz%4")]),
        ("a=%4&1=%", [("a", "%4"), ("1", "%")]),
        ("a=%41==%3D=%0a%=\r\n", [("a", "A====\n%=\r\n")]),
        ("a=%ff", [("a", "\ufffd")]),
        ("a=%c3%a9", [("a", "é")]),
        ("a=é", [("a", "é")]),
        ("a;b=1", [("a;b", "1")]),
        ("a=%00%0d%0A", [("a", "\0\r\n")]),
        ("a=\ud800", [("a", "\ufffd\ufffd\ufffd")]),
    ],
)
def test_fields(raw: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(parse_query(raw)) == expected
    assert pairs(parse_query(raw.encode("utf-8", "surrogatepass"))) == expected


def test_a_query_is_a_mapping_of_first_values() -> None:
    query = parse_query("a=1&b=2&a=3")
    assert isinstance(query, Mapping)
    assert query["a"] == "1"
    assert query.get_all("a") == ["1", "3"]
    assert query.get_all("c") == []
    assert query.get("c") is None
    assert query.get("c", "x") == "x"
    assert "a" in query
    assert "c" not in query
    assert len(query) == 2
    assert dict(query) == {"a": "1", "b": "2"}
    assert repr(query) == "Query({'a': ['1', '3'], 'b': ['2']})"
    query.get_all("a").append("not kept")
    assert query.get_all("a") == ["1", "3"]


def test_a_missing_key_is_a_400_that_names_it() -> None:
    with pytest.raises(MissingKey) as caught:
        parse_query("a=1")["prompt"]
    error = caught.value
    assert isinstance(error, KeyError)
    assert isinstance(error, HTTPError)
    assert error.status == 400
    assert str(error) == error.message == "query parameter 'prompt' is missing"
    assert error.key == "prompt"


def test_the_number_of_fields_is_bounded() -> None:
    assert len(parse_query("&".join(f"a{n}=1" for n in range(MAX_FIELDS)))) == MAX_FIELDS
    with pytest.raises(HTTPError, match="more than 1000 query parameters") as caught:
        parse_query("a=1&" * MAX_FIELDS)
    assert caught.value.status == 400
    assert len(parse_query("a=1&b=2", max_fields=2)) == 2
    with pytest.raises(HTTPError):
        parse_query("a=1&b=2&c=3", max_fields=2)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=20))
def test_what_urllib_encodes_comes_back(given_pairs: list[tuple[str, str]]) -> None:
    query = parse_query(urlencode(given_pairs))
    expected: dict[str, list[str]] = {}
    for name, value in given_pairs:
        expected.setdefault(name, []).append(value)
    assert {name: query.get_all(name) for name in query} == expected


@settings(max_examples=300, deadline=None)
@given(st.text() | st.binary() | st.text("a&=%+1f").map(lambda text: text * 2))
def test_any_input_is_a_query(raw: str | bytes) -> None:
    query = parse_query(raw)
    for name in query:
        assert query[name] == query.get_all(name)[0]
        name.encode()  # no lone surrogate comes out


@settings(max_examples=200, deadline=None)
@given(st.text("ab&=%+12cf3é\r\n._\0", max_size=40))
def test_the_same_as_urllib(raw: str) -> None:
    reference = parse_qsl(raw, keep_blank_values=True, errors="replace")
    assert sorted(pairs(parse_query(raw))) == sorted(reference)


@pytest.mark.parametrize("unit", ["a=1&", "%41", "%", "+", "=", "a" * 4])
def test_time_is_linear(unit: str) -> None:
    assert (
        growth(lambda n: unit.encode() * n, lambda raw: parse_query(raw, max_fields=10**9), 10_000) < LINEAR
    )
