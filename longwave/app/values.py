"""Values to payloads and back: one encoder for all that goes out, one decoder for all types."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from longwave.errors import MessageError

__all__ = ["decode_json", "decoder_for", "encode_json", "encode_value"]


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


def decode_json(data: str | bytes, type: Any = None) -> Any:
    """Return what JSON text holds, checked against `type` when one is given.

    Raises `MessageError`, whose text names the path inside the document.
    """
    try:
        return decoder_for(Any if type is None else type)(data)
    except TypeError:  # not hashable: a type form that cannot be kept
        return _make_decoder(type)(data)


@lru_cache(maxsize=1024)
def decoder_for(type: Any) -> Callable[[str | bytes], Any]:
    """Return a function that decodes JSON into a type: builtin, Struct, dataclass, TypedDict or model."""
    return _make_decoder(type)


def _make_decoder(type: Any) -> Callable[[str | bytes], Any]:
    validate = getattr(type, "model_validate_json", None)
    if validate is not None:
        return _pydantic_decoder(validate)
    decode = msgspec.json.Decoder(type).decode

    def decode_checked(data: str | bytes) -> Any:
        try:
            return decode(data)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise MessageError(str(error)) from error

    return decode_checked


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


def _to_builtin(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(
        f"a value of type {type(value).__qualname__} cannot be sent as JSON: send str, bytes, dict, list, a "
        "dataclass, a msgspec Struct or a pydantic model, or convert it first"
    )


_encode = msgspec.json.Encoder(enc_hook=_to_builtin).encode
