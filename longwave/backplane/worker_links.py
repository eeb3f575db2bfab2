"""The connections between workers: each carries what one of them publishes to one other."""

from __future__ import annotations

import asyncio
import logging
import mmap
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from longwave.backplane.frames import VERSION, FrameReader, Hello, Lost, encode_frame
from longwave.hub.drivers import Envelope

__all__ = ["Counters", "Receiver", "Sender"]

LOG = logging.getLogger("longwave.error")
AT_ONCE: Final = 256 * 1024
"""Bytes that are written before the turn of the loop is over."""


class Counters:
    """What a worker's connections count together.

    `dropped` were left out for a worker that took nothing, `missed` are those that others left out for us.
    """

    def __init__(self) -> None:
        self.sent = self.received = self.dropped = self.missed = self.malformed = 0


class Sender:
    """The way to one other worker.

    `ended` is called once, when it is closed by the other side.

    At most `bound` bytes wait, and one publication: what comes then is dropped, and the other worker is told
    how much that was, as soon as it takes something again.
    """

    def __init__(
        self,
        name: str,
        sock: socket.socket,
        topics: mmap.mmap,
        *,
        bound: int,
        counters: Counters,
        ended: Callable[[Sender], None],
    ) -> None:
        self.name = name
        self.topics = topics
        self.waiting = 0
        """Bytes that the other worker has not taken, with those of this turn."""
        self._socket = sock
        self._bound = bound
        self._counters = counters
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._batch: list[bytes] = []
        self._batched = 0
        self._unsent: deque[memoryview] = deque()
        self._left_out = 0
        self._emptied: asyncio.Future[None] | None = None
        self._is_open = True
        self._loop.add_reader(sock, self._read)

    def add(self, frame: bytes) -> None:
        """Take the frame of one publication; it is sent by `flush`."""
        if self.waiting > self._bound:
            if not self._left_out:
                LOG.warning("worker %s takes nothing: publications for it are dropped", self.name)
            self._left_out += 1
            self._counters.dropped += 1
            return
        self._own_up()
        self._counters.sent += 1
        self._put(frame)
        if self._batched > AT_ONCE:
            self.flush()

    def greet(self, name: str) -> None:
        """Say who sends; the first of all frames."""
        self._put(encode_frame(Hello(VERSION, name)))
        self.flush()

    def flush(self) -> None:
        """Send what was added, in one write."""
        if not self._batch:
            return
        data = self._batch[0] if len(self._batch) == 1 else b"".join(self._batch)
        self._batch = []
        self._batched = 0
        self._unsent.append(memoryview(data))
        if len(self._unsent) == 1:
            self._write()

    async def emptied(self) -> None:
        """Wait until the other worker has taken everything, or is gone."""
        if self.waiting and self._is_open:
            if self._emptied is None:
                self._emptied = self._loop.create_future()
            await self._emptied

    def close(self) -> None:
        """Cut it."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self.topics.close()
        self._unsent.clear()
        self.waiting = 0
        self._empty()

    def _own_up(self) -> None:
        """Say what was left out, now that there is room."""
        if self._left_out:
            LOG.warning("worker %s goes on: %d publications were dropped", self.name, self._left_out)
            self._put(encode_frame(Lost(self._left_out)))
            self._left_out = 0

    def _put(self, frame: bytes) -> None:
        self._batch.append(frame)
        self._batched += len(frame)
        self.waiting += len(frame)

    def _write(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                piece = unsent[0]
                sent = self._socket.send(piece)
                self.waiting -= sent
                if sent == len(piece):
                    unsent.popleft()
                else:
                    unsent[0] = piece[sent:]
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._writable)
        except OSError:
            self._end()
        else:
            # Perhaps nothing is published any more.
            self._own_up()
            self.flush()
            if not self.waiting:
                self._empty()

    def _writable(self) -> None:
        self._loop.remove_writer(self._socket)
        self._write()

    def _read(self) -> None:
        """Notice the end: nothing is said in this direction."""
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end()

    def _end(self) -> None:
        if self._is_open:
            self.close()
            self._ended(self)

    def _empty(self) -> None:
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        self._emptied = None


class Receiver(asyncio.Protocol):
    """The way from one other worker.

    `greeted` is told who that is, and may raise `ValueError`; `ended` is called once.
    """

    def __init__(
        self,
        counters: Counters,
        greeted: Callable[[Receiver, Hello], None],
        deliver: Callable[[Envelope], None],
        ended: Callable[[Receiver], None],
    ) -> None:
        self.name: str | None = None
        """Who sends, when it has said so."""
        self._counters = counters
        self._greeted = greeted
        self._deliver = deliver
        self._ended = ended
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the greeting."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand over what is whole; what is no frame ends the connection."""
        counters = self._counters
        try:
            for frame in self._reader.receive(data):
                if isinstance(frame, Envelope) and self.name is not None:
                    counters.received += 1
                    self._deliver(frame)
                elif isinstance(frame, Lost) and self.name is not None:
                    counters.missed += frame.count
                elif isinstance(frame, Hello) and self.name is None:
                    self._greeted(self, frame)
                    self.name = frame.name
                else:
                    raise ValueError(f"{type(frame).__name__} is not expected here")
        except ValueError as error:
            counters.malformed += 1
            LOG.warning("what another worker says is not understood; its connection is closed: %s", error)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that it is over."""
        self._ended(self)

    def close(self) -> None:
        """Cut it."""
        if self._transport is not None:
            self._transport.abort()
