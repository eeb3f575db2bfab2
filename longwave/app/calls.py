"""How user functions are called: with fewer arguments, in a thread, watched, with a message of their type."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from longwave.app.message import Message
from longwave.app.values import make_decoder
from longwave.errors import DefinitionError, MessageError

__all__ = ["accepts", "adapt", "annotation_of", "in_thread", "is_async", "place_of", "reader_of", "watched"]

dev_log = logging.getLogger("longwave.dev")

Reader = Callable[[Message], Any]

HOLD = 0.05
"""Seconds that a sync function may hold the loop before dev names it."""


def accepts(function: Callable[..., Any], offered: int, what: str) -> int:
    """Return how many of the offered positional arguments a function takes.

    Raises `DefinitionError`, naming the function and its file, when it needs more or is not callable.
    """
    if not callable(function):
        raise DefinitionError(f"{what} is to be a function, not {function!r}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return offered
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in positional if p.default is p.empty]
    required += [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(required) > offered:
        raise DefinitionError(
            f"{what} is called with {offered} argument{'s' * (offered != 1)}, but "
            f"{getattr(function, '__qualname__', function)!s} ({place_of(function)}) needs {len(required)}: "
            f"{', '.join(required)}"
        )
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return offered
    return min(len(positional), offered)


def adapt(function: Callable[..., Any], offered: int, what: str) -> Callable[..., Any]:
    """Return a callable that takes exactly the offered arguments.

    The function itself where it does.
    """
    taken = accepts(function, offered, what)
    if taken == offered:
        return function
    if offered == 1:
        return lambda _first: function()
    if taken == 0:
        return lambda *_: function()
    if offered == 2:
        return lambda first, _second: function(first)
    return lambda *arguments: function(*arguments[:taken])


def in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an async function that runs a sync one in a thread."""

    @functools.wraps(function)
    async def run(*arguments: Any) -> Any:
        result = await asyncio.to_thread(function, *arguments)
        # A callable object does not show that it is asynchronous.
        return await result if hasattr(result, "__await__") else result

    return run


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function gives a coroutine."""
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def watched(function: Callable[..., Any], what: str, place: str) -> Callable[..., Any]:
    """Return the function with a warning in `longwave.dev` for calls over 50 ms."""

    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            held = time.perf_counter() - started
            if held > HOLD:
                dev_log.warning(
                    "%s at %s held the loop for %.0f ms: make it async, or pass blocking=True",
                    what,
                    place,
                    held * 1000,
                )

    return run


def annotation_of(function: Callable[..., Any], index: int, what: str) -> Any:
    """Return the resolved annotation of a positional parameter.

    None when there is none to go by. Raises `DefinitionError` for a name that exists for the type checker
    only.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if index >= len(parameters) or parameters[index].annotation is inspect.Parameter.empty:
        return None
    annotation = parameters[index].annotation

    # Alone: what the other parameters are annotated with may well be there for the type checker only.
    def alone() -> None: ...

    alone.__annotations__ = {"parameter": annotation}
    names = getattr(_definition(function), "__globals__", {})
    try:
        return typing.get_type_hints(alone, names, include_extras=True)["parameter"]
    except (NameError, AttributeError) as error:
        written = str(annotation)
        if written.rpartition(".")[2] in ("Message", "Any", "CloseDetails", "Event", "Peer"):
            return None
        raise DefinitionError(
            f"{what} at {place_of(function)} asks for {written!r}, which cannot be resolved at run time "
            f"({error}): import or define it at module level, outside `if TYPE_CHECKING`"
        ) from error


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


def place_of(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function, as well as can be told."""
    target = _definition(function)
    code = getattr(target, "__code__", None)
    if code is None:
        return getattr(target, "__module__", None) or "unknown place"
    return f"{code.co_filename}:{code.co_firstlineno}"


def _definition(function: Any) -> Any:
    """Return the function that stands in a file: below decorators, partials, methods, callable objects."""
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial):
        function = inspect.unwrap(function.func)
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__") and not inspect.isclass(function):
        call = inspect.unwrap(type(function).__call__)
        return call if hasattr(call, "__code__") else function
    return function


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
