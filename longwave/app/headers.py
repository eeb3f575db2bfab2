"""Header fields as handlers see them: case-insensitive, text, several values where several came."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from longwave.types import Fields

__all__ = ["Headers", "HeadersInit", "encode_fields"]

HeadersInit = Mapping[str, str] | Iterable[tuple[str, str]]
"""What headers may be given as."""


class Headers(Mapping[str, str]):
    """Read-only request headers; names in any case.

    Several fields of one name are joined by a comma. RFC 9110 section 5.3. `get_all` keeps them apart.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ("; " if name.lower() == "cookie" else ", ").join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self._fields))

    def __len__(self) -> int:
        return len({name for name, _ in self._fields})

    def __repr__(self) -> str:
        return f"Headers({list(self)})"

    def get_all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        wanted = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for key, value in self._fields if key == wanted]


def encode_fields(headers: HeadersInit) -> Fields:
    """Return headers as fields; raises `ValueError` for what cannot be in one.

    CR, LF and NUL never get into a field (RFC 9110 section 5.5).
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(encode_name(name), encode_field_value(name, value)) for name, value in pairs]


def encode_name(name: str) -> bytes:
    """Return a field name in lower case.

    Raises `ValueError` when it is not a token (RFC 9110 5.6.2).
    """
    if not TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no header name")
    return name.lower().encode("ascii")


def encode_field_value(name: str, value: str) -> bytes:
    """Return a field value.

    Raises `ValueError` for control characters or what is not latin-1.
    """
    if not isinstance(value, str):
        raise TypeError(f"the value of header {name!r} is a str, not {type(value).__name__}")
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the value of header {name!r} has characters outside latin-1") from None
    if CONTROL.search(encoded):
        raise ValueError(f"the value of header {name!r} has control characters")
    return encoded.strip(b" \t")


TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
