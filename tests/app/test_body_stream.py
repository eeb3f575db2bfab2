from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.body_stream import BodyStream
from longwave.core.sse import BODY, BODY_CHUNKED
from longwave.limits import Limits
from longwave.types import SendStatus
from tests.app.harness import FakeLink, make_app, run_app, turn


class Items:
    """An iterator that says what becomes of it; `gate` holds it back after its first item."""

    def __init__(self, *items: Any, gate: asyncio.Event | None = None, fail_to_close: bool = False) -> None:
        self.items = list(items)
        self.gate = gate
        self.fail_to_close = fail_to_close
        self.taken = 0
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self.gate is not None and self.taken:
            await self.gate.wait()
        self.taken += 1
        if not self.items:
            raise StopAsyncIteration
        item = self.items.pop(0)
        if isinstance(item, BaseException):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed += 1
        if self.fail_to_close:
            raise RuntimeError("does not close")


def run(test: Callable[[App], Awaitable[None]], **options: Any) -> None:
    async def check(app: App) -> None:
        await test(app)
        await turn(4)
        assert app.stats()["tasks"] == 0

    run_app(make_app({}, **options), check)


def test_what_is_yielded_is_written_and_the_iterator_closed_once() -> None:
    async def check(app: App) -> None:
        items = Items("é", b"b", bytearray(b"c"), memoryview(b"d"), b"")
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY_CHUNKED)
        stream.opened(link)
        stream.received("x", True)
        stream.pinged(b"")
        stream.ponged(b"")
        stream.drained()
        await turn(3)
        assert b"".join(link.written) == b"2\r\n\xc3\xa9\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n"
        assert link.closed_with == (1000, "") and not link.aborted
        stream.closed(1000, "")
        await turn(3)
        assert items.closed == 1

    run(check)


@pytest.mark.parametrize("item", [7, {"a": 1}, RuntimeError("half way"), asyncio.CancelledError()])
def test_what_fails_cuts_the_body_short(item: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def check(app: App) -> None:
        items = Items(b"one", item, b"two")
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
        stream.opened(link)
        await turn(3)
        assert link.written == [b"one"] and link.aborted and link.closed_with is None
        stream.closed(1006, "")
        await turn(3)
        assert items.closed == 1
        assert app.stats()["errors"] == 1

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check)
    assert [record.getMessage() for record in caplog.records] == ["a streamed body failed"]


def test_an_iterator_that_does_not_close_cuts_the_body_short(caplog: pytest.LogCaptureFixture) -> None:
    async def check(app: App) -> None:
        stream, link = BodyStream(app.runtime, Items(b"one", fail_to_close=True)), FakeLink(BODY)
        stream.opened(link)
        await turn(3)
        assert link.aborted
        stream.closed(1006, "")

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run(check)
    assert "does not close" in caplog.text


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_the_iterator_is_closed_when_the_client_goes_at_any_time(turns: int) -> None:
    async def check(app: App) -> None:
        items = Items(b"one", b"two", gate=asyncio.Event())
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
        stream.opened(link)
        await turn(turns)
        stream.closed(1006, "")
        stream.closed(1006, "")
        await turn(5)
        assert items.closed == 1 and b"two" not in link.written
        assert app.stats()["errors"] == 0

    run(check)


def test_a_body_that_is_not_wanted_never_begins_and_is_closed() -> None:
    async def check(app: App) -> None:
        for opened in (False, True):
            items = Items(b"one")
            stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
            stream.skip()
            if opened:
                stream.opened(link)
                assert link.closed_with == (1000, "")
                stream.closed(1000, "")
            await turn(3)
            assert (items.taken, items.closed, link.written) == (0, 1, [])

    run(check)


def test_a_generator_runs_its_finally_blocks_when_the_client_goes() -> None:
    events: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            events.append("finally")

    async def check(app: App) -> None:
        stream, link = BodyStream(app.runtime, parts()), FakeLink(BODY)
        stream.opened(link)
        await turn(2)
        stream.closed(1006, "")
        await turn(5)
        assert events == ["finally"] and link.written == [b"one"]

    run(check)


def test_it_waits_for_a_slow_client_and_stops_at_a_closed_link() -> None:
    async def check(app: App) -> None:
        items = Items(b"one", b"two", b"three")
        stream, link = BodyStream(app.runtime, items), FakeLink(BODY)
        link.status, link.buffered = SendStatus.BUFFERED, 100
        stream.opened(link)
        await turn(3)
        assert link.written == [b"one"]
        link.status, link.buffered = SendStatus.SENT, 50
        link.room.set()
        await turn(1)
        assert link.written == [b"one", b"two", b"three"]
        gone = FakeLink(BODY)
        gone.close(1013)
        other = Items(b"one", b"two")
        BodyStream(app.runtime, other).opened(gone)
        await turn(3)
        assert other.taken == 1 and other.closed == 1

    run(check, limits=Limits(outgoing=100))
