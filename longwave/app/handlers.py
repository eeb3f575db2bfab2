"""HTTP handlers, middleware and plugins: what a route file or the table may offer, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, overload

from longwave.app.calls import accepts, adapt, in_thread, is_async, place_of, watched
from longwave.app.event import Event
from longwave.errors import DefinitionError

__all__ = [
    "EventHandler",
    "Middleware",
    "Next",
    "Plugin",
    "define_event_handler",
    "define_middleware",
    "define_plugin",
]

Next = Callable[[], Awaitable[Any]]


class EventHandler:
    """A function of an event; what it returns becomes the response.

    Callable, as the function is.
    """

    def __init__(self, function: Callable[..., Any], blocking: bool = False) -> None:
        accepts(function, 1, "an event handler")
        _refuse_generator(function, "an event handler")
        self.function = function
        self.blocking = blocking

    def __call__(self, event: Event) -> Any:
        """Call the function."""
        return adapt(self.function, 1, "an event handler")(event)

    def compile(self, *, watch: bool = False) -> Callable[[Event], Any]:
        """Return what is called for each request.

        `watch` names a sync one that holds the loop (dev).
        """
        call = adapt(self.function, 1, "an event handler")
        if is_async(self.function) or inspect.isasyncgenfunction(self.function):
            return call
        if self.blocking:
            return in_thread(call)
        return watched(call, "the handler", place_of(self.function)) if watch else call


class Middleware:
    """A function that runs before the route and on every upgrade.

    It takes the event, or the event and `next`.
    """

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        self.onion = accepts(function, 2, "a middleware") == 2
        self.function = adapt(function, 2, "a middleware")
        self.name = name or getattr(function, "__qualname__", "middleware")

    def __call__(self, event: Event, next: Next) -> Any:
        """Call the function."""
        return self.function(event, next)


class Plugin:
    """A function of the app that runs once per worker at start.

    One that yields goes on at the end.
    """

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        _refuse_generator(function, "a plugin")
        self.function = adapt(function, 1, "a plugin")
        self.name = name or getattr(function, "__qualname__", "plugin")


@overload
def define_event_handler(function: Callable[..., Any]) -> EventHandler: ...


@overload
def define_event_handler(*, blocking: bool = False) -> Callable[[Callable[..., Any]], EventHandler]: ...


def define_event_handler(
    function: Callable[..., Any] | None = None, *, blocking: bool = False
) -> EventHandler | Callable[[Callable[..., Any]], EventHandler]:
    """Make an event handler of a function; a decorator, with or without arguments.

    `blocking` runs a sync function in a thread. Raises `DefinitionError` when it needs more than the event.
    """
    if function is None:
        return lambda function: EventHandler(function, blocking)
    return EventHandler(function, blocking)


def define_middleware(function: Callable[..., Any]) -> Middleware:
    """Make a middleware: `function(event)` or `function(event, next)`.

    Returning anything but None answers the request; `await next()` runs what comes after and returns its
    response.
    """
    return Middleware(function)


def define_plugin(function: Callable[..., Any]) -> Plugin:
    """Make a plugin of `function(app)`.

    It is sync, async, or an async generator whose rest runs at shutdown.
    """
    return Plugin(function)


def _refuse_generator(function: Callable[..., Any], what: str) -> None:
    if inspect.isgeneratorfunction(inspect.unwrap(function)):
        raise DefinitionError(
            f"{what} that yields is an async generator: write `async def` ({place_of(function)})"
        )
