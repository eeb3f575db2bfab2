"""A transport whose network takes bytes when the test says so, a loop that runs when told, a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["FakeClock", "FakeLoop", "FakeTransport"]


class FakeClock:
    """Seconds that pass only on purpose."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeTimer:
    """What `call_later` returns."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback

    def cancel(self) -> None:
        """Never call."""
        self.callback = lambda: None


class FakeLoop:
    """The part of a loop that the server uses outside of tasks."""

    def __init__(self) -> None:
        self.soon: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.timer: FakeTimer | None = None
        self.timers = 0

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call in the next turn."""
        self.soon.append((callback, args))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> FakeTimer:
        """Remember the sweep, and how many were asked for."""
        self.timers += 1
        self.timer = FakeTimer(callback)
        return self.timer

    def create_future(self) -> asyncio.Future[None]:
        """Return a future of the loop that runs."""
        return asyncio.get_running_loop().create_future()

    def turn(self) -> None:
        """Run one turn."""
        soon, self.soon = self.soon, []
        for callback, args in soon:
            callback(*args)


class FakeTransport:
    """Keeps what is written until the network takes it, and calls as asyncio's transports do."""

    def __init__(self) -> None:
        self.protocol: Any = None
        self.writes: list[bytes] = []
        self.log: list[str] = []
        self.buffered = 0
        self.fast = True
        self.reading: bool = True
        self.closing = False
        self.paused = False
        self.high = 65536
        self.low = 16384

    @property
    def written(self) -> bytes:
        """Everything that was written."""
        return b"".join(self.writes)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        if not self.fast:
            self.buffered += len(data)
            self._maybe_pause()

    def take(self, size: int) -> None:
        """Have the network take bytes."""
        self.buffered = max(0, self.buffered - size)
        if self.paused and self.buffered <= self.low:
            self.paused = False
            self.protocol.resume_writing()

    def lose(self, error: Exception | None = None) -> None:
        """Have the connection be lost."""
        self.closing = True
        self.protocol.connection_lost(error)

    def write_eof(self) -> None:
        self.log.append("eof")

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closing = True
        self.log.append("close")

    def abort(self) -> None:
        self.closing = True
        if "abort" not in self.log:
            self.log.append("abort")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        """Whether the socket is read."""
        return self.reading

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        assert low is not None
        self.high, self.low = high, low
        self._maybe_pause()

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str, default: object = None) -> Any:
        return ("192.0.2.1", 4000) if name == "peername" else default

    def _maybe_pause(self) -> None:
        if self.buffered > self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()
