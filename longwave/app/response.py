"""Headers, `Response`, `redirect`, and how what a handler returns becomes a response."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from typing import Any

from longwave.app.values import encode_json
from longwave.contract import Reply, UpgradeReply
from longwave.core.cookies import encode_cookie
from longwave.core.http1_write import check_field
from longwave.types import Fields

__all__ = [
    "HTML",
    "JSON_FIELD",
    "Headers",
    "HeadersInit",
    "PassedResponse",
    "Response",
    "StagedResponse",
    "encode_fields",
    "redirect",
    "to_response",
]

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"

HeadersInit = Mapping[str, str] | Iterable[tuple[str, str]]
"""What headers may be given as."""


class Headers(Mapping[str, str]):
    """Read-only headers; names in any case.

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


class HeaderFields:
    """Response headers that can be set, appended and taken away."""

    # No slots: `Response` is an exception besides, and of two bases only one may have them.
    fields: Fields

    def set_header(self, name: str, value: str) -> None:
        """Set a header, in place of any of that name.

        Raises `ValueError` for an illegal one.
        """
        new = encode_field(name, value)
        self.fields = [field for field in self.fields if field[0] != new[0]]
        self.fields.append(new)

    def append_header(self, name: str, value: str) -> None:
        """Add a header beside any of that name."""
        self.fields.append(encode_field(name, value))

    def set_cookie(self, name: str, value: str, **options: Any) -> None:
        """Add a `set-cookie`; options are those of `longwave.core.cookies.encode_cookie`.

        `max_age` (seconds), `expires`, `path="/"`, `domain`, `secure`, `http_only`, `same_site`,
        `partitioned`. RFC 6265bis.
        """
        self.fields.append((b"set-cookie", encode_cookie(name, value, **options)))

    def delete_cookie(
        self, name: str, *, path: str = "/", domain: str | None = None, secure: bool = False
    ) -> None:
        """Make the client forget a cookie; the options are those that it was set with."""
        self.set_cookie(name, "", max_age=0, path=path, domain=domain, secure=secure)

    @property
    def headers(self) -> Headers:
        """The headers as a read-only mapping."""
        return Headers(self.fields)


class Response(HeaderFields, Exception):
    """A response: text, bytes, or an async iterator of either, which is streamed.

    Return it, or raise it. Making it raises `ValueError` for a status outside 200 to 599 and for a header
    that could not be sent.
    """

    __slots__ = ("body", "fields", "status")

    def __init__(
        self,
        body: str | bytes | AsyncIterable[str | bytes] | None = None,
        status: int = 200,
        headers: HeadersInit = (),
        *,
        content_type: str | None = None,
    ) -> None:
        # What an exception would keep of its arguments.
        self.args = ()
        self.fields = encode_fields(headers)
        self.status: int = _checked_status(status)
        if isinstance(body, str):
            content_type = content_type or TEXT
            body = body.encode()
        elif body is not None and not isinstance(body, bytes) and not hasattr(body, "__aiter__"):
            raise TypeError(
                f"the body of a Response is str, bytes or an async iterator, not {type(body).__name__}: "
                "use Response.json(...) for JSON"
            )
        self.body: bytes | AsyncIterable[str | bytes] = b"" if body is None else body
        if content_type is None and body is not None:
            content_type = BYTES
        if content_type is not None and not any(name == b"content-type" for name, _ in self.fields):
            self.fields.append(encode_field("content-type", content_type))

    @classmethod
    def html(cls, text: str, status: int = 200, headers: HeadersInit = ()) -> Response:
        """Return a response that is a page."""
        return cls(text, status, headers, content_type=HTML)

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: HeadersInit = ()) -> Response:
        """Return a response that is JSON; raises `TypeError` for what JSON cannot hold."""
        return cls(encode_json(value), status, headers, content_type=JSON)

    def copy(self) -> Response:
        """Return a response whose headers can be set without those of this one."""
        return _response(self.body, self.status, self.fields.copy())

    def __repr__(self) -> str:
        return f"<Response {self.status}>"

    __str__ = __repr__


class StagedResponse(HeaderFields):
    """What is settled of a response before its value is: status and headers."""

    __slots__ = ("_status", "fields")

    def __init__(self) -> None:
        self.fields = []
        self._status: int | None = None

    @property
    def status(self) -> int | None:
        """The status, or None for the usual one.

        Setting it raises `ValueError` outside 200 to 599.
        """
        return self._status

    @status.setter
    def status(self, status: int | None) -> None:
        self._status = None if status is None else _checked_status(status)

    def merge(self, fields: Fields) -> Fields:
        """Return the fields of a response with those that were staged.

        An own field of a name wins. `set-cookie` is added to, never replaced.
        """
        own = {name for name, _ in fields if name != b"set-cookie"}
        return fields + [field for field in self.fields if field[0] not in own]


class PassedResponse(HeaderFields):
    """What `next()` gives a middleware for an upgrade, a stream or a file.

    Its headers can still be set.
    """

    __slots__ = ("_reply", "fields", "status")

    def __init__(self, reply: Reply) -> None:
        self.fields = list(reply.headers)
        self.status: int = 101 if isinstance(reply, UpgradeReply) else reply.status
        self._reply = reply

    def reply(self) -> Reply:
        """Return the reply with the headers as they are now."""
        self._reply.headers = self.fields
        return self._reply


def redirect(location: str, status: int = 302) -> Response:
    """Return a redirect.

    Raises `ValueError` for a location with control characters or a wrong status.
    """
    if status not in (301, 302, 303, 307, 308):
        raise ValueError(f"a redirect has status 301, 302, 303, 307 or 308, not {status}")
    import html  # loads a table of two thousand names that escape() does not use

    headers = encode_fields({"location": location})
    target = html.escape(location)
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}"><a href="{target}">Moved</a>'
    response = Response.html(page, status)
    response.fields += headers
    return response


def to_response(value: Any, status: int | None = None) -> Response:
    """Return the response of a value that a handler returned.

    Raises `TypeError` for none it could be.
    """
    kind = value.__class__
    if kind is dict:
        return _response(encode_json(value), status or 200, [JSON_FIELD])
    if kind is str:
        return _response(value.encode(), status or 200, [TEXT_FIELD])
    if value is None:
        return _response(b"", status or 204, [])
    if isinstance(value, Response):
        return value
    if isinstance(value, str):
        return _response(str.encode(value), status or 200, [TEXT_FIELD])
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _response(bytes(value), status or 200, [BYTES_FIELD])
    return _response(encode_json(value), status or 200, [JSON_FIELD])


def encode_fields(headers: HeadersInit) -> Fields:
    """Return headers as fields; raises `ValueError` for what cannot be in one.

    CR, LF and NUL never get into a field (RFC 9110 section 5.5).
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [encode_field(name, value) for name, value in pairs]


def encode_field(name: str, value: str) -> tuple[bytes, bytes]:
    """Return one header as a field; raises as `encode_fields` does."""
    if not isinstance(value, str):
        raise TypeError(f"the value of header {name!r} is a str, not {type(value).__name__}")
    return check_field(name, value)


JSON_FIELD = (b"content-type", JSON.encode())
TEXT_FIELD = (b"content-type", TEXT.encode())
BYTES_FIELD = (b"content-type", BYTES.encode())


def _response(body: bytes | AsyncIterable[str | bytes], status: int, fields: Fields) -> Response:
    response = Response.__new__(Response)
    response.status = status
    response.fields = fields
    response.body = body
    return response


def _checked_status(status: Any) -> int:
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise ValueError(f"a response has a status from 200 to 599, not {status!r}")
    return int(status)
