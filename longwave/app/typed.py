"""Gives a `message` hook the type that it asks for: text, bytes, or what the JSON decodes into."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from longwave.app.calls import annotation_of, place_of
from longwave.app.message import Message
from longwave.app.values import make_decoder
from longwave.errors import DefinitionError, MessageError

__all__ = ["reader_of"]

Reader = Callable[[Message], Any]


def reader_of(function: Callable[..., Any], what: str) -> Reader | None:
    """Return what turns a message into the second argument of a hook.

    None for the message itself. Raises `DefinitionError`, naming the hook and its file, for a type that
    cannot be decoded.
    """
    wanted = annotation_of(function, 1, what)
    if wanted is None:
        return None
    choices = _choices(wanted)
    kinds = {_bare(choice) for choice in choices}
    if not kinds or kinds & {Any, object} or any(_is_message(kind) for kind in kinds):
        return None
    if kinds <= {str, bytes}:
        read = _read_raw if len(kinds) > 1 else Message.text if kinds == {str} else Message.bytes
        return read if kinds == set(choices) else _checking(read, wanted)
    try:
        decode = make_decoder(wanted)
    except (TypeError, RecursionError) as error:
        raise DefinitionError(
            f"{what} at {place_of(function)} asks for {wanted!r}, which a message cannot become: {error}"
        ) from error
    return lambda message: decode(message.raw)


def _choices(wanted: Any) -> list[Any]:
    """Return the members of a union, or the type itself; without None, which no message is."""
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return [kind for kind in typing.get_args(wanted) if kind is not type(None)]
    return [wanted]


def _bare(kind: Any) -> Any:
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    try:
        hash(kind)
    except TypeError:
        return type(kind)
    return kind


def _is_message(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Message)


def _read_raw(message: Message) -> str | bytes:
    return message.raw


def _checking(read: Reader, wanted: Any) -> Reader:
    """Check text or bytes against what stands beside their type, as in `Annotated[str, Meta(...)]`."""

    def read_checked(message: Message) -> Any:
        try:
            return msgspec.convert(read(message), wanted)
        except msgspec.ValidationError as error:
            raise MessageError(str(error)) from error

    return read_checked
