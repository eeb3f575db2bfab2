"""What a client gets for an error: JSON in one shape, a page in dev; EventSource hears when to come again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from longwave.app.response import HTML, JSON_FIELD, encode_fields
from longwave.app.values import encode_json
from longwave.contract import FullReply, failed_reply
from longwave.core.sse import encode_refusal, wants_events
from longwave.errors import HTTPError
from longwave.types import Fields

if TYPE_CHECKING:
    from longwave.app.event import Event

__all__ = ["encode_reply", "refuse_stream", "wants_stream"]

error_log = logging.getLogger("longwave.error")


def encode_reply(event: Event | None, error: BaseException, dev: bool) -> FullReply:
    """Return the reply of an error: JSON, or in dev a page for a browser."""
    if not dev:
        return error_reply(error) if isinstance(error, HTTPError) else failed_reply()
    shown = error if isinstance(error, HTTPError) else HTTPError(500, describe(error))
    if event is not None and "text/html" in event.headers.get("accept", ""):
        from longwave.app.error_page import error_page  # with what it imports, for dev alone

        page = error_page(event, error).encode(errors="replace")
        return FullReply(shown.status, [*error_fields(shown), (b"content-type", HTML.encode())], page)
    return error_reply(shown, unhandled=shown is not error)


def refuse_stream() -> FullReply:
    """Return a refusal that EventSource comes back from.

    After a random time, so that not all come at once.
    """
    import random  # a millisecond of each start, for what most processes never do

    fields, body = encode_refusal(random.randrange(2000, 10_000))
    return FullReply(200, fields, body)


def wants_stream(event: Event) -> bool:
    """Whether the client is an EventSource, or behaves as one."""
    return not event.is_upgrade and wants_events(event.fields)


def error_reply(error: HTTPError, *, unhandled: bool = False) -> FullReply:
    """Return the one JSON shape of an error: `error status message data? unhandled?`.

    Never raises: data or headers that cannot be sent are left out, and logged.
    """
    message = error.message if isinstance(error.message, str) else repr(error.message)
    document: dict[str, Any] = {
        "error": True,
        "status": error.status,
        "message": message.encode(errors="replace").decode(),
    }
    if error.data is not None:
        document["data"] = error.data
    if unhandled:
        document["unhandled"] = True
    try:
        body = encode_json(document)
    except Exception as second:
        error_log.error("the data of %r cannot be sent: %s", error, second)
        del document["data"]
        body = encode_json(document)
    return FullReply(error.status, [*error_fields(error), JSON_FIELD], body)


def error_fields(error: HTTPError) -> Fields:
    """Return the headers of an error.

    Those that cannot be sent are left out, and logged.
    """
    fields: Fields = []
    for name, value in error.headers.items():
        try:
            fields += encode_fields({name: value})
        except (TypeError, ValueError) as second:
            error_log.error("a header of %r cannot be sent: %s", error, second)
    return [field for field in fields if field[0] != b"content-type"]


def describe(error: BaseException) -> str:
    """Return an error as `Type: text`; one whose text cannot be had as its type."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
