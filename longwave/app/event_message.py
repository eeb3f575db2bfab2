"""One Server-Sent Event as a handler gives it, and its bytes (WHATWG HTML 9.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from longwave.app.values import encode_value
from longwave.core.sse import encode_event

__all__ = ["EventMessage", "encode_push"]


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One event with its fields.

    `data` is a `str` or anything JSON, `retry` is in milliseconds. With `data` None a client takes over `id`
    and `retry` and hears of nothing.
    """

    data: Any = ""
    event: str | None = None
    id: str | None = None
    retry: int | None = None


def encode_push(event: Any) -> bytes:
    """Return the bytes of what is pushed: `str`, `EventMessage`, or anything JSON."""
    if isinstance(event, str):
        return encode_event(event)
    if isinstance(event, EventMessage):
        data = None if event.data is None else _data(event.data)
        return encode_event(data, event.event, event.id, event.retry)
    return encode_event(_data(event))


def _data(data: Any) -> str | bytes:
    if isinstance(data, str):
        return data
    payload, is_text = encode_value(data)
    if not is_text:
        raise TypeError("an event carries text: encode bytes first, as base64 for instance")
    return payload
