"""Values to messages and events, and back: one encoder for all that goes out, one decoder for all types."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import msgspec.inspect
from msgspec import Struct

from longwave.core.sse import encode_event
from longwave.errors import MessageError

__all__ = [
    "EventMessage",
    "decode_json",
    "decoder_for",
    "encode_json",
    "encode_push",
    "encode_value",
    "make_decoder",
]


class EventMessage(Struct, frozen=True):
    """One event with its fields.

    `data` is a `str` or anything JSON, `retry` is in milliseconds. With `data` None a client takes over `id`
    and `retry` and hears of nothing.
    """

    data: Any = ""
    event: str | None = None
    id: str | None = None
    retry: int | None = None


def encode_value(data: Any) -> tuple[bytes, bool]:
    """Return the payload of an outgoing value, and whether it is text.

    `str` is text, bytes-like is binary, a `Message` keeps its type; `dict list tuple`, dataclasses, Structs,
    models, datetimes, UUIDs, enums, numbers and bools are JSON text. Raises `TypeError` for `None` and
    anything else, `ValueError` for a `str` with a lone surrogate.
    """
    kind = data.__class__
    if kind is str:
        return data.encode(), True
    if kind is bytes:
        return data, False
    if kind is dict:
        return _encode(data), True
    return _encode_other(data)


def encode_json(data: Any) -> bytes:
    """Return a value as JSON; raises `TypeError` for what JSON cannot hold."""
    return _encode(data)


def encode_push(event: Any) -> bytes:
    """Return the bytes of what is pushed: `str`, `EventMessage`, or anything JSON."""
    if isinstance(event, str):
        return encode_event(event)
    if isinstance(event, EventMessage):
        data = None if event.data is None else _event_data(event.data)
        return encode_event(data, event.event, event.id, event.retry)
    return encode_event(_event_data(event))


def decode_json(data: str | bytes, type: Any = None) -> Any:
    """Return what JSON text holds, checked against `type` when one is given.

    Raises `MessageError`, whose text names the path inside the document.
    """
    try:
        return decoder_for(Any if type is None else type)(data)
    except TypeError:  # not hashable: a type form that cannot be kept
        return make_decoder(type)(data)


def make_decoder(type: Any) -> Callable[[str | bytes], Any]:
    """Return a function that decodes JSON into a type.

    Builtins, Structs, dataclasses, TypedDicts, pydantic models, and what is made of them. Raises `TypeError`
    for a type that JSON cannot be decoded into.
    """
    validate = getattr(type, "model_validate_json", None)
    if validate is not None:
        return _pydantic_decoder(validate)
    if isinstance(msgspec.inspect.type_info(type), msgspec.inspect.CustomType):
        raise TypeError(f"JSON cannot be decoded into {type!r}")
    decode = msgspec.json.Decoder(type, dec_hook=_from_builtin).decode

    def decode_checked(data: str | bytes) -> Any:
        try:
            return decode(data)
        except RecursionError as error:
            raise MessageError("the document is nested too deep") from error
        except (msgspec.DecodeError, UnicodeError) as error:
            raise MessageError(str(error)) from error

    return decode_checked


decoder_for = lru_cache(maxsize=1024)(make_decoder)
"""As `make_decoder`, but kept; `App.set_routes` clears it, for it keeps the types of old code alive."""


def _pydantic_decoder(validate: Callable[[str | bytes], Any]) -> Callable[[str | bytes], Any]:
    def decode_checked(data: str | bytes) -> Any:
        try:
            return validate(data)
        except ValueError as error:
            raise MessageError(_pydantic_text(error)) from error

    return decode_checked


def _pydantic_text(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    parts = []
    for item in errors():
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in item["loc"])
        parts.append(f"{item['msg']} - at `${path}`")
    return "; ".join(parts)


def _from_builtin(type: Any, value: Any) -> Any:
    """Decode a pydantic model that stands inside of another type."""
    validate = getattr(type, "model_validate", None)
    if validate is None:
        raise NotImplementedError(f"JSON cannot be decoded into {type!r}")
    try:
        return validate(value)
    except ValueError as error:
        raise ValueError(_pydantic_text(error)) from error


def _encode_other(data: Any) -> tuple[bytes, bool]:
    if data is None:
        raise TypeError(
            "None cannot be sent: write '' for an empty text, b'' for an empty binary message, "
            "or a value inside a dict for JSON null"
        )
    if isinstance(data, str):
        return str.encode(data), True
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), False
    outgoing = getattr(data, "__longwave_payload__", None)
    if outgoing is not None:
        payload: tuple[bytes, bool] = outgoing()
        return payload
    return _encode(data), True


def _event_data(data: Any) -> str | bytes:
    if isinstance(data, str):
        return data
    payload, is_text = encode_value(data)
    if not is_text:
        raise TypeError("an event carries text: encode bytes first, as base64 for instance")
    return payload


def _to_builtin(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(
        f"a value of type {type(value).__qualname__} cannot be sent as JSON: send str, bytes, dict, list, a "
        "dataclass, a msgspec Struct or a pydantic model, or convert it first"
    )


_encode = msgspec.json.Encoder(enc_hook=_to_builtin).encode
