"""Dates of HTTP fields, from and to seconds since 1970 (RFC 9110 section 5.6.7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["format_date", "parse_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The longest that a recipient has to read: "Wednesday, 09-Nov-94 08:49:37 GMT" is 33.
_LONGEST = 40

_DAY = r"(?P<day>[0-9]{1,2})"
_MONTH = r"(?P<month>[a-z]{3})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_FORMS = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII).fullmatch
    for pattern in (
        # IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        rf"[a-z]{{3}}, {_DAY} {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} (?:GMT|UTC)",
        # RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
        rf"[a-z]{{3,9}}, {_DAY}-{_MONTH}-(?P<year>[0-9]{{2}}|[0-9]{{4}}) {_TIME} GMT",
        # asctime: Sun Nov  6 08:49:37 1994
        rf"[a-z]{{3}} {_MONTH} (?P<day>[0-9 ]?[0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def format_date(seconds: float) -> bytes:
    """Return an IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.

    Parts of a second are dropped. Raises `ValueError` for what is not within the years 1 to 9999.
    """
    try:
        date = _EPOCH + timedelta(seconds=seconds // 1)
    except (OverflowError, ValueError):
        raise ValueError(f"{seconds!r} seconds since 1970 are not within the years 1 to 9999") from None
    # strftime would write the names in the language of the process.
    return (
        f"{_DAYS[date.weekday()]}, {date.day:02} {_MONTHS[date.month - 1]} {date.year:04}"
        f" {date.hour:02}:{date.minute:02}:{date.second:02} GMT"
    ).encode("ascii")


def parse_date(value: str) -> float | None:
    """Return the seconds since 1970 of a date in any of HTTP's forms, else None.

    The day of the week is not compared. Two digits of a year are 1970 to 2069.
    """
    if len(value) > _LONGEST:
        return None
    for matches in _FORMS:
        found = matches(value)
        if found is not None:
            break
    else:
        return None
    month = _MONTH_NUMBERS.get(found["month"].lower())
    if month is None:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:
        # RFC 9110 would compare with the clock, which is not at hand here; POSIX draws the line at 69.
        year += 2000 if year < 70 else 1900
    second = int(found["second"])
    # RFC 9110: second is 00 to 60, the last for a leap second.
    if second > 60:
        return None
    try:
        date = datetime(year, month, int(found["day"]), int(found["hour"]), int(found["minute"]), tzinfo=UTC)
    except ValueError:
        return None
    return (date - _EPOCH).total_seconds() + second
