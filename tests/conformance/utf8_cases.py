"""Octets that are UTF-8 and octets that are not, after Markus Kuhn's decoder capability and stress test."""

from __future__ import annotations

from tests.conformance.ws_model import KOSME

__all__ = ["UTF8_SEQUENCES"]


def _rows(valid: bool, *payloads: str) -> list[tuple[bool, bytes]]:
    return [(valid, bytes.fromhex(payload)) for payload in payloads]


def _runs(first: int, last: int) -> bytes:
    """The octets from `first` up to but without `last`, a space after each."""
    return b"".join(bytes((octet, 0x20)) for octet in range(first, last))


# The octets where no character of KOSME is cut in two.
_KOSME_ENDS = {2, 5, 7, 9, 11}
# The last two code points of every plane, which are no characters and yet valid (RFC 3629).
_NONCHARACTERS = [
    (chr(plane << 16 | low)).encode("utf-8") for plane in range(1, 17) for low in (0xFFFE, 0xFFFF)
]
# Sequences of one to six octets that lack their last one: those of the lowest value, then of the highest.
_CUT_SHORT = [
    "c0",
    "e080",
    "f08080",
    "f8808080",
    "fc80808080",
    "df",
    "efbf",
    "f7bfbf",
    "fbbfbfbf",
    "fdbfbfbfbf",
]

UTF8_SEQUENCES: list[tuple[str, list[tuple[bool, bytes]]]] = [
    (
        "valid text with characters of one to four octets",
        [(True, f"hello{character}world".encode()) for character in "\u0024\u00a2\u20ac\U00024b62"]
        + [(True, KOSME)],
    ),
    ("every beginning of a valid text", [(end in _KOSME_ENDS, KOSME[:end]) for end in range(1, 12)]),
    ("first sequence of each length", _rows(True, "00", "c280", "e0a080", "f0908080")),
    ("first sequence of five and six octets", _rows(False, "f888808080", "fc8480808080")),
    ("last sequence of each length", _rows(True, "7f", "dfbf", "efbfbf", "f48fbfbf")),
    ("last sequence of four to six octets", _rows(False, "f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf")),
    ("other borders", _rows(True, "ed9fbf", "ee8080", "efbfbd", "f48fbfbf") + _rows(False, "f4908080")),
    (
        "continuation octets without a start",
        _rows(
            False,
            *("80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf"),
            bytes(range(0x80, 0xBF)).hex(),
        ),
    ),
    (
        "start octets without a continuation",
        [
            (False, _runs(first, last))
            for first, last in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
        ],
    ),
    ("sequences without their last octet", _rows(False, *_CUT_SHORT)),
    ("all of these one after the other", _rows(False, "".join(_CUT_SHORT))),
    ("octets that never occur", _rows(False, "fe", "ff", "fefeffff")),
    ("a slash in too many octets", _rows(False, "c0af", "e080af", "f08080af", "f8808080af", "fc80808080af")),
    (
        "the highest values in too many octets",
        _rows(False, "c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"),
    ),
    ("NUL in too many octets", _rows(False, "c080", "e08080", "f0808080", "f880808080", "fc8080808080")),
    (
        "single surrogates",
        _rows(False, "eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"),
    ),
    (
        "pairs of surrogates",
        _rows(
            False,
            *(
                high + low
                for high in ("eda080", "edadbf", "edae80", "edafbf")
                for low in ("edb080", "edbfbf")
            ),
        ),
    ),
    (
        "code points that are no characters",
        _rows(True, "efbfbe", "efbfbf") + [(True, payload) for payload in _NONCHARACTERS],
    ),
    ("specials", _rows(True, *(f"efbf{low:02x}" for low in range(0xB9, 0xC0)))),
]
"""Title, then (valid, octets); in the order of the sections 6.5 to 6.23 of the Autobahn test suite."""
