"""What a test gets back: a response, its headers, and the exceptions of links."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import msgspec

from longwave.types import Fields

__all__ = ["ConnectionClosed", "Headers", "RefusedError", "TestResponse", "update_cookies"]


class Headers(Mapping[str, str]):
    """Header fields by name in any case: the first of a name; `get_all` has all."""

    def __init__(self, fields: Fields) -> None:
        self.fields = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields]

    def __getitem__(self, name: str) -> str:
        for key, value in self.fields:
            if key == name.lower():
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.fields))

    def __len__(self) -> int:
        return len(dict(self.fields))

    def __repr__(self) -> str:
        return f"Headers({self.fields!r})"

    def get_all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        return [value for key, value in self.fields if key == name.lower()]


class TestResponse:
    """A whole response."""

    __test__ = False

    def __init__(self, status: int, fields: Fields, content: bytes) -> None:
        self.status = status
        self.headers = Headers(fields)
        self.content = content

    @property
    def text(self) -> str:
        """The body as text, in the charset that `content-type` names, else UTF-8."""
        charset = "utf-8"
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                charset = value.strip().strip('"')
        return self.content.decode(charset, "replace")

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that this response sets."""
        found: dict[str, str] = {}
        update_cookies(found, self.headers)
        return found

    def json(self, type: Any = None) -> Any:
        """Return the body decoded as JSON, as the `type` if one is given.

        `ValueError` if it is no JSON.
        """
        if type is None:
            return json.loads(self.content)
        return msgspec.json.decode(self.content, type=type)

    def __repr__(self) -> str:
        return f"<TestResponse {self.status}, {len(self.content)} bytes>"


class RefusedError(Exception):
    """A WebSocket or an event stream was asked for, and another `response` came."""

    def __init__(self, what: str, response: TestResponse) -> None:
        super().__init__(f"{what} was refused with {response.status}: {response.text[:200]}")
        self.response = response


class ConnectionClosed(Exception):
    """Nothing more will come: the link ended with `code` and `reason`.

    The code is 1000 for the end of a stream.
    """

    def __init__(self, what: str, code: int, reason: str) -> None:
        super().__init__(f"{what} is closed: {code}{f' {reason}' if reason else ''}")
        self.code = code
        self.reason = reason


def update_cookies(cookies: dict[str, str], headers: Headers) -> None:
    """Take the cookies that a response sets, and drop those it deletes."""
    for line in headers.get_all("set-cookie"):
        try:
            parsed = SimpleCookie(line)
        except CookieError:
            continue
        for name, morsel in parsed.items():
            if morsel["max-age"] == "0" or "1970" in morsel["expires"]:
                cookies.pop(name, None)
            else:
                cookies[name] = morsel.value
