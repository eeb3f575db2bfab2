"""What a handler answers with: `Response`, `redirect`, and how any returned value becomes a response."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from typing import Any

from longwave.app.headers import Headers, HeadersInit, encode_field_value, encode_fields, encode_name
from longwave.app.values import encode_json
from longwave.contract import Reply, UpgradeReply
from longwave.core.cookies import encode_cookie
from longwave.errors import HTTPError
from longwave.types import Fields

__all__ = ["PassedResponse", "Response", "StagedResponse", "error_response", "redirect", "to_response"]

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"


class HeaderFields:
    """Response headers that can be set, appended and taken away; what `Response` and staging share."""

    __slots__ = ("fields",)

    def __init__(self, headers: HeadersInit = ()) -> None:
        self.fields: Fields = encode_fields(headers)

    def set_header(self, name: str, value: str) -> None:
        """Set a header, in place of any of that name; raises `ValueError` for an illegal one."""
        key, encoded = encode_name(name), encode_field_value(name, value)
        self.fields = [field for field in self.fields if field[0] != key]
        self.fields.append((key, encoded))

    def append_header(self, name: str, value: str) -> None:
        """Add a header beside any of that name."""
        self.fields.append((encode_name(name), encode_field_value(name, value)))

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


class Response(HeaderFields):
    """A response: `str` is text, bytes are bytes, an async iterator of bytes or str is streamed.

    Raises `ValueError` for a status outside 200 to 599 and for a header that could not be sent.
    """

    __slots__ = ("body", "status")

    def __init__(
        self,
        body: str | bytes | AsyncIterator[str | bytes] | None = None,
        status: int = 200,
        headers: HeadersInit = (),
        *,
        content_type: str | None = None,
    ) -> None:
        super().__init__(headers)
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f"a response has a status from 200 to 599, not {status!r}")
        self.status: int = int(status)
        if isinstance(body, str):
            content_type = content_type or TEXT
            body = body.encode()
        elif body is not None and not isinstance(body, bytes) and not hasattr(body, "__anext__"):
            raise TypeError(
                f"the body of a Response is str, bytes or an async iterator, not {type(body).__name__}: "
                "use Response.json(...) for JSON"
            )
        self.body: bytes | AsyncIterator[str | bytes] = b"" if body is None else body
        if content_type is None and body is not None:
            content_type = BYTES
        if content_type is not None and not any(name == b"content-type" for name, _ in self.fields):
            self.fields.append((b"content-type", encode_field_value("content-type", content_type)))

    @classmethod
    def html(cls, text: str, status: int = 200, headers: HeadersInit = ()) -> Response:
        """Return a response that is a page."""
        return cls(text, status, headers, content_type=HTML)

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: HeadersInit = ()) -> Response:
        """Return a response that is JSON; raises `TypeError` for what JSON cannot hold."""
        return cls(encode_json(value), status, headers, content_type=JSON)

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


class StagedResponse(HeaderFields):
    """What a handler settles of its response before it returns a plain value: status and headers."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        super().__init__()
        self.status: int | None = None

    def apply(self, response: Response) -> Response:
        """Return the response with what was staged; an own header of the response wins.

        `set-cookie` is added to, never replaced.
        """
        own = {name for name, _ in response.fields if name != b"set-cookie"}
        staged = [field for field in self.fields if field[0] not in own]
        if staged:
            response.fields = response.fields + staged
        return response


class PassedResponse(HeaderFields):
    """What `next()` gives a middleware for an upgrade, a stream or a file: its headers can still be set."""

    __slots__ = ("_reply", "status")

    def __init__(self, reply: Reply) -> None:
        self.fields = list(reply.headers)
        self.status: int = 101 if isinstance(reply, UpgradeReply) else reply.status
        self._reply = reply

    def reply(self) -> Reply:
        """Return the reply with the headers as they are now."""
        self._reply.headers = self.fields
        return self._reply


def redirect(location: str, status: int = 302) -> Response:
    """Return a redirect; raises `ValueError` for a location with control characters or a wrong status."""
    if status not in (301, 302, 303, 307, 308):
        raise ValueError(f"a redirect has status 301, 302, 303, 307 or 308, not {status}")
    target = html.escape(location)
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}"><a href="{target}">Moved</a>'
    return Response.html(page, status, {"location": location})


def to_response(value: Any, status: int | None = None) -> Response:
    """Return the response of a value that a handler returned; raises `TypeError` for none it could be."""
    kind = value.__class__
    if kind is dict:
        return _response(encode_json(value), status or 200, JSON_FIELD)
    if kind is str:
        return _response(value.encode(), status or 200, TEXT_FIELD)
    if value is None:
        return _response(b"", status or 204, None)
    if isinstance(value, Response):
        return value
    if isinstance(value, str):
        return _response(str.encode(value), status or 200, TEXT_FIELD)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _response(bytes(value), status or 200, BYTES_FIELD)
    return _response(encode_json(value), status or 200, JSON_FIELD)


def error_response(error: HTTPError, *, unhandled: bool = False) -> Response:
    """Return the one JSON shape of an error: `error status message data? unhandled?`."""
    document: dict[str, Any] = {"error": True, "status": error.status, "message": error.message}
    if error.data is not None:
        document["data"] = error.data
    if unhandled:
        document["unhandled"] = True
    try:
        return Response.json(document, error.status, error.headers)
    except (TypeError, ValueError):
        del document["data"]
        return Response.json(document, error.status)


JSON_FIELD = (b"content-type", JSON.encode())
TEXT_FIELD = (b"content-type", TEXT.encode())
BYTES_FIELD = (b"content-type", BYTES.encode())


def _response(body: bytes, status: int, content_type: tuple[bytes, bytes] | None) -> Response:
    response = Response.__new__(Response)
    response.status = status
    response.fields = [] if content_type is None else [content_type]
    response.body = body
    return response
