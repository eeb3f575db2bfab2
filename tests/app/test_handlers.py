from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from longwave.app.event import Event
from longwave.app.handlers import (
    EventHandler,
    Middleware,
    Plugin,
    define_event_handler,
    define_middleware,
    define_plugin,
)
from longwave.errors import DefinitionError

event: Event = object()  # type: ignore[assignment]


def test_an_event_handler_keeps_its_function_and_is_called_as_it() -> None:
    def plain(event: Event) -> Any:
        return event

    handler = define_event_handler(plain)
    assert isinstance(handler, EventHandler) and handler.function is plain
    assert handler(event) is event and handler.compile() is plain
    without = define_event_handler(lambda: "none")
    assert without(event) == "none" and without.compile()(event) == "none"


def test_blocking_is_a_thread_for_what_is_sync_alone() -> None:
    @define_event_handler(blocking=True)
    def slow(event: Event) -> int:
        return threading.get_ident()

    @define_event_handler(blocking=True)
    async def later(event: Event) -> int:
        return threading.get_ident()

    @define_event_handler(blocking=True)
    async def items(event: Event) -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        assert await slow.compile()(event) != threading.get_ident()
        assert await later.compile()(event) == threading.get_ident()
        assert hasattr(items.compile()(event), "__anext__")

    asyncio.run(main())


def items(it: Any) -> Iterator[int]:
    yield 1


def test_what_cannot_be_called_is_an_error_at_the_definition() -> None:
    for define, what in ((define_event_handler, "an event handler"), (define_plugin, "a plugin")):
        with pytest.raises(
            DefinitionError, match=rf"{what} that yields is an async generator.*test_handlers"
        ):
            define(items)
        with pytest.raises(DefinitionError, match=what):
            define(lambda a, b: None)
    with pytest.raises(DefinitionError, match="a middleware"):
        define_middleware(lambda a, b, c: None)
    with pytest.raises(DefinitionError, match="to be a function, not 7"):
        define_middleware(7)  # type: ignore[arg-type]


def test_middleware_with_and_without_next() -> None:
    async def after() -> Any: ...

    def named(event: Event) -> Any:
        return event

    assert define_middleware(named)(event, after) is event
    assert define_middleware(named).name.endswith("named")
    assert not Middleware(named).onion
    onion = Middleware(lambda event, next: next, "own")
    assert onion.onion and onion(event, after) is after and onion.name == "own"


def test_a_plugin_may_do_without_the_app() -> None:
    plugin = define_plugin(lambda: "ran")
    assert isinstance(plugin, Plugin) and plugin.function("app") == "ran"
