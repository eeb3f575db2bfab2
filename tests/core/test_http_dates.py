from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core.http_dates import format_date, parse_date

EXAMPLE = 784111777.0
FIRST = -62135596800
LAST = 253402300799


@pytest.mark.parametrize(
    ("seconds", "date"),
    [
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (EXAMPLE, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (EXAMPLE + 0.999, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (EXAMPLE + 0.9999998, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (-0.5, b"Wed, 31 Dec 1969 23:59:59 GMT"),
        (951782400, b"Tue, 29 Feb 2000 00:00:00 GMT"),
        (FIRST, b"Mon, 01 Jan 0001 00:00:00 GMT"),
        (LAST, b"Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_format(seconds: float, date: bytes) -> None:
    assert format_date(seconds) == date


@pytest.mark.parametrize(
    "seconds", [FIRST - 1, LAST + 1, 10**30, float("inf"), float("-inf"), float("nan"), 1e300]
)
def test_what_has_no_date_is_a_value_error(seconds: float) -> None:
    with pytest.raises(ValueError, match="years"):
        format_date(seconds)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        ("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE),
        ("Sun Nov  6 08:49:37 1994", EXAMPLE),
        ("Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        ("sun, 6 nov 1994 08:49:37 gmt", EXAMPLE),
        ("Sun, 06-Nov-1994 08:49:37 GMT", EXAMPLE),
        ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
        ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
        ("Tuesday, 31-Dec-69 23:59:59 GMT", 3155759999),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
    ],
)
def test_parse(value: str, seconds: float) -> None:
    assert parse_date(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT" * 1000,
    ],
)
def test_what_is_no_date_is_none(value: str) -> None:
    assert parse_date(value) is None


@settings(max_examples=300, deadline=None)
@given(st.integers(FIRST, LAST))
def test_every_second_comes_back(seconds: int) -> None:
    assert parse_date(format_date(seconds).decode()) == seconds


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_the_same_as_the_standard_library(seconds: int) -> None:
    assert format_date(seconds).decode() == formatdate(seconds, usegmt=True)


@settings(max_examples=300, deadline=None)
@given(
    st.text()
    | st.from_regex(
        r"\A(Sun|Sunday),? [0-9]{2}[ -](Nov|Feb|xyz)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT\Z"
    )
)
def test_any_text_is_a_date_or_none(value: str) -> None:
    seconds = parse_date(value)
    assert seconds is None or FIRST <= seconds <= LAST + 1
