"""`publish` at the top of the package: which app it means, wherever it is called."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave.app.app import App, publish, running
from longwave.app.event import Event
from longwave.app.event_stream import EventStream, create_event_stream
from longwave.app.handlers import Middleware, define_event_handler
from longwave.app.hooks import define_websocket_handler
from longwave.app.message import Message
from longwave.app.peer import Peer
from tests.app.harness import connect, full, make_app, open_stream, turn


def say(what: str) -> None:
    publish("room", what)


def handler(event: Event) -> str:
    say("handler")
    return "ok"


async def later(event: Event) -> str:
    say("async handler")
    await asyncio.to_thread(say, "to_thread")
    await asyncio.create_task(say_later("task"))
    return "ok"


async def say_later(what: str) -> None:
    await asyncio.sleep(0)
    say(what)


async def middleware(event: Event, next: Any) -> Any:
    say("middleware")
    return await next()


async def numbers(event: Event) -> AsyncIterator[int]:
    say("generator")
    yield 1
    say("generator again")


def stream(event: Event) -> EventStream:
    made = create_event_stream(event)

    @made.on_closed
    def closed() -> None:
        say("on_closed")

    return made


async def on_message(peer: Peer, message: Message) -> None:
    say("message")
    await asyncio.sleep(0)
    say("message later")


def make() -> App:
    socket = define_websocket_handler(
        open=lambda peer: say("open"),
        message=on_message,
        close=lambda peer: say("close"),
        upgrade=lambda event: say("upgrade"),
    )
    blocking = define_event_handler(blocking=True)(handler)
    routes = {
        "/ws": socket,
        "/plain": handler,
        "/later": later,
        "/numbers": numbers,
        "/stream": stream,
        "/blocking": blocking,
        "/listen": define_websocket_handler(),
    }
    return make_app(routes, middleware=[Middleware(middleware)])


def test_each_of_two_apps_hears_its_own_code_alone() -> None:
    async def main() -> None:
        apps = [make(), make()]
        for app in apps:
            await app.startup()
        listeners = [await connect(app, "/listen") for app in apps]
        for peer, _ in listeners:
            peer.subscribe("room")
        (_, mine), (_, theirs) = listeners
        await turn(2)
        mine.written.clear()
        theirs.written.clear()

        async def use(app: App) -> None:
            for path in ("/plain", "/later", "/blocking"):
                await full(app, path)
            await open_stream(app, "/numbers")
            closing, _, _ = await open_stream(app, "/stream")
            closing.closed(1006, "")
            peer, _ = await connect(app)
            peer.received("x", True)
            await turn(3)
            peer.closed(1000, "")
            await turn(5)

        await asyncio.create_task(use(apps[0]))
        assert theirs.messages == []
        assert set(mine.messages) == {
            *("handler", "async handler", "to_thread", "task", "middleware", "generator", "generator again"),
            *("on_closed", "upgrade", "open", "message", "message later", "close"),
        }
        for app in apps:
            await app.shutdown()

    asyncio.run(main())


def test_without_an_app_of_its_own_code_means_the_only_one_that_runs() -> None:
    def from_thread(what: str) -> None:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                say(what)
            except LookupError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]

    async def main() -> None:
        one, two = make(), make()
        with pytest.raises(LookupError, match="none is running"):
            from_thread("nobody")
        await one.startup()
        peer, link = await connect(one, "/listen")
        peer.subscribe("room")
        from_thread("the only one")
        await turn(2)
        assert "the only one" in link.messages
        await asyncio.create_task(two.startup())
        with pytest.raises(LookupError, match="among 2 running apps"):
            from_thread("which?")
        await two.shutdown()
        from_thread("alone again")
        await turn(2)
        assert "alone again" in link.messages
        await one.shutdown()
        with pytest.raises(LookupError, match="none is running"):
            say("too late")
        assert running == {}

    asyncio.run(main())
