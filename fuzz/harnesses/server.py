"""Whatever a client sends and however it reads: no exception escapes, one opened is one closed.

Nothing is written after the end, buffers keep their bounds, nothing leaks; a client can read all answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from fuzz.server_app import Planned, ScriptApp
from fuzz.server_client import check_answers
from fuzz.server_transport import FEED, StrictTransport, TurnLoop
from fuzz.source import Source
from longwave.limits import Limits, Timeouts
from longwave.server.body import BUFFER
from longwave.server.connection import CORK, Connection
from longwave.server.http import HttpConnection
from longwave.server.state import Worker
from longwave.server.websocket import WebSocketConnection
from longwave.types import SlowPolicy

__all__ = ["check"]

LIMITS = (
    Limits(
        request_line=256, headers=1024, header_count=12, body=6000, pipeline=3, messages_per_turn=4,
        message=2000, fragments=6, outgoing=8192, unfinished_total=2400,
    ),
    Limits(request_line=256, headers=1024, outgoing=20_000, outgoing_total=30_000, message_rate=5),
    Limits(connections=1, body=80_000),
)  # fmt: skip
TIMEOUTS = Timeouts(
    header=2, body=2, keep_alive=3, response=3, ping=2, pong=1, close=1, upgrade=2, shutdown=3, heartbeat=1
)
PIECE = 20_000
"""The longest piece that the application writes."""

_LOOP = TurnLoop()
_ERRORS = logging.getLogger("longwave.error")
_ACCESS = logging.getLogger("longwave.access")
# What the application does wrong on purpose, and what the server then says.
PLANNED_MESSAGES = ("a response is longer than its", "a response is shorter than its")
PLANNED_ERRORS = (
    *("the value of the header x-bad", "a header value holds no CR", "the application accepted a WebSocket"),
)


def check(data: bytes) -> None:
    """Run one connection as the input says: its first byte counts the steps, then they come, then bytes."""
    asyncio.set_event_loop(_LOOP)
    _LOOP.problems.clear()
    with logged() as (errors, access):
        _LOOP.run_until_complete(Drive(data, access).run())
    asyncio.set_event_loop(None)
    assert not _LOOP.problems, _LOOP.problems
    for record in errors:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            assert record.getMessage().startswith(PLANNED_MESSAGES), record.getMessage()
        elif not isinstance(error, Planned):
            if not str(error).startswith(PLANNED_ERRORS):
                raise error


class Drive:
    """One run: a worker, an application, a client and what the network does."""

    def __init__(self, data: bytes, access: list[str]) -> None:
        source = Source(data)
        flags = source.byte()
        self.steps = source.take(source.byte() % 32)
        self.sent = source.rest()
        self.app = ScriptApp()
        self.app.policy = list(SlowPolicy)[flags % 3]
        limits = LIMITS[flags // 3 % 3]
        self.worker = Worker(self.app, limits, TIMEOUTS, _LOOP, clock=_LOOP.time, access_log=True)
        self.transport = StrictTransport(_LOOP)
        self.access = access
        self.other = flags >= 240  # a second connection: one too many, where the limit is one

    async def run(self) -> None:
        """Run to the end and look at what is left."""
        worker, transport = self.worker, self.transport
        worker.start()
        other = StrictTransport(_LOOP)
        if self.other:
            other.begin(HttpConnection(worker))
        transport.begin(HttpConnection(worker))
        for step in self.steps:
            await self.step(step % 12, step // 12)
            self.check_bounds()
        while self.sent and transport.can_feed():
            self.feed(FEED)
            await self.turns(2)
            self.check_bounds()
        transport.take_all()
        await self.turns(4)
        transport.end_input()
        await self.pass_time(14)
        self.check_bounds()
        transport.lose()
        if self.other:
            other.lose()
        self.app.go_on.set()
        await self.pass_time(1)
        worker.stop()
        self.check_end()

    async def step(self, what: int, amount: int) -> None:
        """Do one thing."""
        transport = self.transport
        if what < 2:
            self.feed(amount * amount + 1 if what else 1 + amount)
        elif what == 2:
            await self.turns(amount % 4 + 1)
        elif what == 3:
            transport.fast = False
        elif what == 4:
            transport.take(amount * amount * 64)
        elif what == 5:
            transport.take_all()
        elif what == 6:
            await self.pass_time(amount + 1)
        elif what == 7:
            transport.end_input()
        elif what == 8:
            transport.lose(ConnectionResetError() if amount & 1 else None)
        elif what == 9:
            self.app.go_on.set()
        elif what == 10:
            self.feed(FEED)
            await self.turns(1)
        else:
            self.worker.stopping = True
            for connection in list(self.worker.connections):
                connection.finish(1001)

    def feed(self, size: int) -> None:
        """Have the server receive bytes, if it reads."""
        if self.sent and self.transport.can_feed():
            piece, self.sent = self.sent[:size], self.sent[size:]
            self.transport.feed(piece)

    async def turns(self, count: int) -> None:
        """Let the loop turn."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def pass_time(self, periods: int) -> None:
        """Let time pass, not so fast that the loop seems to have stood still."""
        for _ in range(periods):
            _LOOP.now += self.worker.period
            await self.turns(3)

    def check_bounds(self) -> None:
        """Check what the server holds at this moment."""
        worker, limits = self.worker, self.worker.limits
        head = limits.request_line + limits.headers + FEED + 8
        for connection in worker.connections:
            assert connection.buffered <= max(limits.outgoing, CORK) + PIECE + 4 * FEED, "too much to write"
            if isinstance(connection, HttpConnection):
                assert connection._http.held <= head, f"{connection._http.held} bytes of requests are held"
                body = connection._body
                assert body is None or body.size < BUFFER + head, "too much of a body is held"
            elif isinstance(connection, WebSocketConnection):
                held = connection._ws.held
                assert held <= limits.message + head, f"{held} bytes of messages are held"
        assert worker.unfinished == sum(connection.unfinished for connection in worker.connections)
        assert worker.waiting == sum(map(outbox_size, worker.connections))

    def check_end(self) -> None:
        """Check that all is over and was told, and what the client got."""
        worker, transport = self.worker, self.transport
        assert not transport.wrong, transport.wrong
        assert not worker.connections and not worker.addresses
        assert (worker.waiting, worker.unfinished, worker.refused) == (0, 0, 0)
        tasks = asyncio.all_tasks(_LOOP) - {asyncio.current_task(_LOOP)}
        assert not tasks, f"tasks are left: {tasks}"
        for session in self.app.sessions:
            session.check_end()
        if not self.other:
            targets = [request.target for request in self.app.requests]
            check_answers(transport.written, self.access, targets, transport.was_cut)


def outbox_size(connection: Connection) -> int:
    """Return the bytes that wait beside the network."""
    return 0 if connection._flow is None else connection._flow.outbox.size


@contextmanager
def logged() -> Iterator[tuple[list[logging.LogRecord], list[str]]]:
    """Catch what is logged: errors, and the lines of the access log."""
    errors, access = Records(), Records()
    pairs = ((_ERRORS, errors), (_ACCESS, access))
    before = [(logger.level, logger.propagate) for logger, _ in pairs]
    for logger, records in pairs:
        logger.addHandler(records)
        logger.propagate = False
        logger.setLevel(logging.INFO)
    lines: list[str] = []
    access.lines = lines
    try:
        yield errors.records, lines
    finally:
        for (logger, records), (level, propagate) in zip(pairs, before, strict=True):
            logger.removeHandler(records)
            logger.propagate = propagate
            logger.setLevel(level)


class Records(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.records.append(record)
        if self.lines is not None:
            self.lines.append(record.getMessage())
