"""Every exception of Longwave.

- `LongwaveError`
    - `ConfigError`: a setting is unknown, mistyped or impossible
    - `RouteError`: a route file, or the table of routes, is wrong
        - `ModuleFailure` (in `longwave.routing.graph`): a file of the project cannot be imported
    - `DefinitionError` (also a `TypeError`): a handler or hook cannot be called as it was written
    - `ProtocolError`: a WebSocket client broke RFC 6455; carries the close code
    - `RequestError`: an HTTP request cannot be read; carries the status
    - `HTTPError`: raised by a handler to answer with a status
        - `UpstreamError`: what a proxy asks did not answer as it should; 502 or 504
    - `MessageError` (also a `ValueError`): a message or a body does not fit the type asked for
    - `LimitError`: a limit of the configuration was reached
    - `BackplaneError`: a broker did not do what was asked
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

__all__ = [
    "BackplaneError",
    "ConfigError",
    "DefinitionError",
    "HTTPError",
    "LimitError",
    "LongwaveError",
    "MessageError",
    "ProtocolError",
    "RequestError",
    "RouteError",
    "UpstreamError",
]


class LongwaveError(Exception):
    """Base of every exception that Longwave raises on purpose."""


class ConfigError(LongwaveError):
    """A setting is unknown, of the wrong type, or cannot work.

    The text names where it was set.
    """


class RouteError(LongwaveError):
    """A route file or the route table is wrong; the text names the file or files."""


class DefinitionError(LongwaveError, TypeError):
    """A handler or hook cannot be called the way it was written.

    The text names it and its file.
    """


class ProtocolError(LongwaveError):
    """The client broke the WebSocket protocol.

    `code` is the close code to answer with. RFC 6455 section 7.4.1 lists the codes.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class RequestError(LongwaveError):
    """An HTTP request cannot be read.

    `status` is the answer, after which the connection closes. RFC 9112 section 9.6: after an error in framing
    nothing that follows can be trusted. `limit` is the setting that was passed, such as `limits.body`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        limit: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.limit = limit


class HTTPError(LongwaveError):
    """Raise it in a handler, middleware or `upgrade` hook to answer with a status.

    `status` is 400 to 599; `message` defaults to the standard phrase; `data` is any JSON value that
    the client may see; `headers` are added to the response.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"HTTPError wants a status from 400 to 599, not {status}")
        if message is None:
            try:
                message = HTTPStatus(status).phrase
            except ValueError:
                message = "Error"
        super().__init__(message)
        self.status = status
        self.message = message
        self.data = data
        self.headers = dict(headers or {})


class UpstreamError(HTTPError):
    """What a proxy asks cannot be reached, answers wrongly (502) or not in time (504)."""


class MessageError(LongwaveError, ValueError):
    """A message or body does not fit the type asked for.

    The text names the path inside it.
    """


class LimitError(LongwaveError):
    """A limit of the configuration was reached; the text names the setting."""


class BackplaneError(LongwaveError):
    """A broker could not do what was asked.

    Goes to `on_error`, never into `publish()`.
    """
