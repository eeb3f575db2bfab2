"""A transport that is as strict as asyncio's allows, and a loop whose clock stands still by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.server.fake_transport import FakeTransport

__all__ = ["FEED", "StrictTransport", "TurnLoop"]

FEED = 1024
"""Bytes of one read at most."""


class TurnLoop(asyncio.SelectorEventLoop):
    """A loop that never waits; `problems` is what it would log."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__()
        self.problems: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.problems.append(context))

    def time(self) -> float:
        """Return the time as it was set."""
        return self.now


class StrictTransport(FakeTransport):
    """Notes every write after the end, ends as asyncio's do, and reads only while it is allowed to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.wrong: list[str] = []
        self.was_cut = False
        self._ended = self._lost = self._ending = self._input_ended = False

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        """Tell a protocol of its connection."""
        self.protocol = protocol
        protocol.connection_made(self)  # type: ignore[arg-type]

    def can_feed(self) -> bool:
        """Whether the socket is read."""
        return self.reading and not (self.closing or self._lost or self._input_ended)

    def feed(self, data: bytes) -> None:
        """Receive bytes."""
        self.protocol.data_received(data[:FEED])

    def end_input(self) -> None:
        """Receive the client's end."""
        if self.can_feed():
            self._input_ended = True
            if not self.protocol.eof_received():
                self.close()

    def take_all(self) -> None:
        """Have the network take everything, and at once from now on."""
        self.fast = True
        for _ in range(100):
            if not self.buffered:
                break
            self.take(self.buffered)

    def take(self, size: int) -> None:
        if not self._lost and "abort" not in self.log:
            super().take(size)
            self._maybe_end()

    def lose(self, error: Exception | None = None) -> None:
        if not self._lost:
            self.was_cut = self.was_cut or not (self.closing or self._ended)
            self._lose(error)

    def write(self, data: bytes) -> None:
        if self._lost or "abort" in self.log:
            return  # dropped, as asyncio's do
        if self.closing or self._ended:
            self.wrong.append(f"{data[:60]!r} was written after {self.log}")
        assert isinstance(data, (bytes, bytearray, memoryview))
        super().write(data)

    def write_eof(self) -> None:
        self._ended = True
        super().write_eof()

    def close(self) -> None:
        super().close()
        self._maybe_end()

    def abort(self) -> None:
        if not self._lost and (not self.closing or self.buffered):
            self.was_cut = self.was_cut or bool(self.buffered) or not self._ended
        super().abort()
        self.buffered = 0
        self._maybe_end()

    def _maybe_end(self) -> None:
        if self.closing and not self.buffered and not self._ending:
            self._ending = True
            self.loop.call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            super().lose(error)
