"""How user functions are called: with fewer arguments than offered, in a thread, and watched in dev."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
import typing
from collections.abc import Callable
from typing import Any

from longwave.errors import DefinitionError

__all__ = ["accepts", "adapt", "annotation_of", "in_thread", "is_async", "place_of", "watched"]

dev_log = logging.getLogger("longwave.dev")

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
    """Return a callable that takes exactly the offered arguments; the function itself where it does."""
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
        return await asyncio.to_thread(function, *arguments)

    return run


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function gives a coroutine."""
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def watched(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """Return the function with a warning in `longwave.dev` when a call holds the loop over 50 ms."""
    place = place_of(function)

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
    """Return the resolved annotation of a positional parameter; None when there is none to go by.

    Raises `DefinitionError` for a name that exists for the type checker only.
    """
    target = inspect.unwrap(function)
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return None
    if index >= len(parameters) or parameters[index].annotation is inspect.Parameter.empty:
        return None
    parameter = parameters[index]
    try:
        return typing.get_type_hints(getattr(target, "__func__", target))[parameter.name]
    except (NameError, AttributeError) as error:
        written = str(parameter.annotation)
        if written.rpartition(".")[2] in ("Message", "Any", "CloseDetails", "Event", "Peer"):
            return None
        raise DefinitionError(
            f"{what} at {place_of(target)} asks for {written!r}, which cannot be resolved at run time "
            f"({error}): import or define it at module level, outside `if TYPE_CHECKING`"
        ) from error


def place_of(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function, as well as can be told."""
    target = inspect.unwrap(function)
    code = getattr(getattr(target, "__func__", target), "__code__", None)
    if code is None:
        return getattr(target, "__module__", None) or "unknown place"
    return f"{code.co_filename}:{code.co_firstlineno}"
