"""What the connections of one worker share: settings, the coarse clock and its sweep, counters, the total."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from longwave.contract import Application
from longwave.core.http_dates import format_date
from longwave.limits import COUNTERS, Limits, Timeouts

if TYPE_CHECKING:
    from longwave.server.connection import Connection

__all__ = ["ERRORS", "Worker"]

ERRORS = logging.getLogger("longwave.error")

SWEEP = 0.5
"""Seconds between two looks at all connections, where no time-out is so short that it wants more."""
PINGS_PER_SWEEP = 1000
"""Pings of one sweep: connections that opened together are not all pinged in one turn of the loop."""

LOST = 8
"""For each so many bytes of unfinished messages one may be lost between them: 272 MB were seen for 238."""


class Worker:
    """The state that is one per worker.

    `now` is the time of the last sweep; connections take it for their deadlines instead of reading the
    clock. Time in which the loop stood still does not count: it was not the clients' fault.
    """

    def __init__(
        self,
        application: Application,
        limits: Limits,
        timeouts: Timeouts,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Callable[[], float] = time.monotonic,
        access_log: bool = False,
        secure: bool = False,
    ) -> None:
        self.application = application
        self.limits = limits
        self.timeouts = timeouts
        self.loop = loop
        self.clock = clock
        self.scheme = "https" if secure else "http"
        log = logging.getLogger("longwave.access")
        self.access = log if access_log and log.isEnabledFor(logging.INFO) else None
        # Of the outgoing buffer of one connection: above `half` it is full, at `quarter` it has room again.
        self.half = limits.outgoing // 2
        self.quarter = limits.outgoing // 4
        shortest = min((value for value in _waits(timeouts) if value > 0), default=SWEEP)
        self.period = max(0.02, min(SWEEP, shortest / 4))
        self.connections: set[Connection] = set()
        self.addresses: dict[str, int] = {}
        self.room = limits.connections or sys.maxsize
        self.refused = 0
        self.stopping = False
        self.changed: Callable[[], None] | None = None
        self.opened = self.requests = self.messages = self.upgrades = self.streams = self.errors = 0
        self.waiting = 0
        self.unfinished = 0
        self.dropped = 0
        self.pings = PINGS_PER_SWEEP
        self._passed = dict.fromkeys(COUNTERS, 0)
        self._weigh_at = limits.outgoing_total // 2
        self._stalled = 0.0
        self._due = clock()
        self.now = self._due
        self.date = b""
        self._second = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to sweep."""
        self._due = self.clock()
        self.sweep()

    def stop(self) -> None:
        """End to sweep."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sweep(self) -> None:
        """Set the time, look at every connection once, and come back after a period."""
        moment = self.clock()
        late = moment - self._due
        if late > self.period:
            self._stalled += late
        self._due = moment + self.period
        now = self.now = moment - self._stalled
        self._set_date()
        self.pings = PINGS_PER_SWEEP
        self._timer = self.loop.call_later(self.period, self.sweep)
        for connection in list(self.connections):
            try:
                connection.check(now)
            except Exception:
                # One connection that fails must not keep the others from being looked at.
                self.errors += 1
                ERRORS.exception("a connection failed; it is cut")
                connection.abort()
        if len(self.connections) * self.half + self.waiting > self.limits.outgoing_total:
            self.weigh()

    def add(self, connection: Connection) -> None:
        """Look after a connection from now on."""
        self.connections.add(connection)
        if self.changed is not None:
            self.changed()

    def admit(self, connection: Connection, info: Callable[[str], Any]) -> int:
        """Count a new connection; return 0 to take it, or the status to refuse it with."""
        self.opened += 1
        limit = self.limits.connections_per_address
        if len(self.connections) - self.refused >= self.room:
            self.refused += 1
            return 503
        if limit:
            name = info("peername")
            if isinstance(name, tuple):
                host = str(name[0])
                count = self.addresses.get(host, 0)
                if count >= limit:
                    self.refused += 1
                    return 429
                self.addresses[host] = count + 1
                connection.address = host
        return 0

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        host = connection.address
        if host is not None:
            count = self.addresses[host] - 1
            if count:
                self.addresses[host] = count
            else:
                del self.addresses[host]
        if self.changed is not None:
            self.changed()

    def passed(self, name: str) -> None:
        """Count that a limit or time-out was passed."""
        self._passed[name] += 1

    def hold_more(self, size: int) -> None:
        """Count bytes that wait beside the network (negative: that wait no more)."""
        self.waiting += size
        if size > 0 and self.waiting > self._weigh_at:
            self.weigh()

    def weigh(self) -> None:
        """Treat the largest outgoing buffers as over their bound while the total is."""
        limit = self.limits.outgoing_total
        sizes = [(size, connection) for connection in self.connections if (size := connection.buffered)]
        total = sum(size for size, _ in sizes)
        if total > limit:
            sizes.sort(key=lambda entry: entry[0], reverse=True)
            for size, connection in sizes:
                self.passed("limits.outgoing_total")
                connection.overflow()
                total -= size
                if total <= limit:
                    break
        # The next time when half of what is left has been used up, so that this costs little per byte.
        self._weigh_at = self.waiting + max((limit - total) // 2, self.limits.outgoing)

    def hold_unfinished(self, size: int) -> None:
        """Count bytes of unfinished WebSocket messages.

        Past the limit, which is for the memory that they take, the largest is closed.
        """
        self.unfinished += size
        taken = self.unfinished + self.unfinished // LOST
        if size > 0 and taken > self.limits.unfinished_total and self.connections:
            self.passed("limits.unfinished_total")
            max(self.connections, key=lambda connection: connection.unfinished).too_big()

    def stats(self) -> dict[str, int]:
        """Return the counters."""
        return {
            "connections": len(self.connections),
            "opened": self.opened,
            "requests": self.requests,
            "messages": self.messages,
            "upgrades": self.upgrades,
            "streams": self.streams,
            "errors": self.errors,
            "dropped": self.dropped,
            "outgoing_waiting": self.waiting,
            "unfinished": self.unfinished,
            **self._passed,
        }

    def _set_date(self) -> None:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.date = format_date(second)


def _waits(timeouts: Timeouts) -> tuple[float, ...]:
    return (
        timeouts.header,
        timeouts.body,
        timeouts.keep_alive,
        timeouts.response,
        timeouts.ping,
        timeouts.pong,
        timeouts.close,
    )
