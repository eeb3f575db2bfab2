"""Workers of one machine share publications directly, with no broker: each has a socket to each other one.

They meet in a folder of their own. A worker that starts binds a socket there and connects to all that it
finds; who is greeted connects back. A publication is written by the publisher's worker to every worker that
listens to its topic (`interest.py`), once per turn of the loop, in order. What a worker does not take is
dropped for it alone, and it is told how much that was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import stat
from collections.abc import Awaitable, Generator
from pathlib import Path
from typing import Final

from longwave.backplane.frames import VERSION, Hello, encode_frame
from longwave.backplane.interest import OwnTopics, bucket_of, open_topics
from longwave.backplane.worker_links import Counters, Receiver, Sender
from longwave.errors import BackplaneError
from longwave.hub.drivers import Deliver, Envelope

__all__ = ["WorkersBackplane"]

LOG = logging.getLogger("longwave.error")
BACKLOG = 1024
MEETING = 1.0
"""Seconds that a worker which starts waits for the others to greet it."""
AGAIN = 0.05
"""Seconds before a worker is tried again that could not be reached; each time twice as many, to `SELDOM`."""
SELDOM = 10.0
BOUND: Final = 16 * 1024 * 1024
NAME = re.compile(r"[0-9]{1,10}-[0-9a-f]{16}")


class Done:
    """An awaitable that is done."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class WorkersBackplane:
    """Carries publications between the processes that have `folder` in common.

    `bound` is how many bytes may wait for each other worker.
    """

    def __init__(self, folder: Path, bound: int = BOUND) -> None:
        self._folder = folder
        self._bound = bound
        self._deliver: Deliver | None = None
        self._name = ""
        self._done = Done()
        self._topics: OwnTopics | None = None
        self._server: asyncio.AbstractServer | None = None
        self._senders: dict[str, Sender] = {}
        self._receivers: set[Receiver] = set()
        self._flushing = False
        self._changed = asyncio.Event()
        self._retries: dict[str, asyncio.TimerHandle] = {}
        self._attempts: dict[str, int] = {}
        self._counters = Counters()

    # The seam of the hub.

    async def start(self, deliver: Deliver) -> None:
        """Meet the other workers.

        Returns when every other worker sends to this one what it listens to, or does not answer in time.
        Raises `BackplaneError` for a folder that is not this user's alone.
        """
        if self._deliver is not None:
            raise BackplaneError("the backplane is started already: make one for each application")
        _check_folder(self._folder)
        self._name = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver
        try:
            self._topics = OwnTopics(self._path(".topics"))
            self._server = await self._loop.create_unix_server(self._receive, sock=self._listen())
        except OSError as error:
            self._deliver = None
            self._remove(self._name)
            raise BackplaneError(f"cannot meet other workers in {self._folder}: {error.strerror}") from None
        for path in self._folder.glob("*.sock"):
            if path.stem != self._name and NAME.fullmatch(path.stem):
                self._reach(path.stem)
        try:
            async with asyncio.timeout(MEETING):
                while self._silent():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            LOG.warning(
                "other workers do not answer; what is published there may be missed here: %s",
                ", ".join(self._silent()),
            )

    def publish(self, envelope: Envelope) -> None:
        """Pass an envelope to every other worker that listens to its topic.

        Written at the end of the turn, all of it at once. Raises `BackplaneError`.
        """
        if self._deliver is None:
            raise BackplaneError("the backplane is not started: publish after App.startup()")
        if not self._senders:
            return
        bucket = bucket_of(envelope.topic)
        frame: bytes | None = None
        for sender in self._senders.values():
            if sender.topics[bucket]:
                if frame is None:
                    frame = encode_frame(envelope)
                sender.add(frame)
        if frame is not None and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def watch(self, topic: str) -> Awaitable[None]:
        """Start to receive a topic; counts at once, in all workers."""
        if self._topics is not None:
            self._topics.add(topic)
        return self._done

    def unwatch(self, topic: str) -> None:
        """Stop to receive a topic."""
        if self._topics is not None:
            self._topics.discard(topic)

    async def close(self) -> None:
        """Leave, when what was published is handed over."""
        if self._deliver is None:
            return
        self._flush()
        try:
            for sender in list(self._senders.values()):
                await sender.emptied()
        finally:
            self._leave()

    def stats(self) -> dict[str, int]:
        """Return the counters of this worker."""
        counters = self._counters
        return {
            "workers": len(self._senders),
            "sent": counters.sent,
            "received": counters.received,
            "missed": counters.missed,
            "malformed": counters.malformed,
            "waiting_bytes": sum(sender.waiting for sender in self._senders.values()),
            "limits.backplane": counters.dropped,
        }

    # Below: how it is done.

    def _silent(self) -> list[str]:
        """Return who has been reached and has not reached back."""
        return sorted(self._senders.keys() - {receiver.name for receiver in self._receivers})

    def _reach(self, name: str) -> None:
        """Connect to another worker, unless that is done or it is gone; try again where it is busy."""
        if self._deliver is None or name in self._senders or name == self._name:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(str(self._path(".sock", name)))
            topics = open_topics(self._path(".topics", name))
        except (OSError, ValueError) as error:
            sock.close()
            if isinstance(error, BlockingIOError):
                self._reach_later(name)
                return
            self._attempts.pop(name, None)
            if isinstance(error, ConnectionRefusedError):
                # It listened before it had this name: nobody is there any more.
                self._remove(name)
            return
        sender = self._senders[name] = Sender(
            name, sock, topics, bound=self._bound, counters=self._counters, ended=self._sender_ended
        )
        sender.greet(self._name)

    def _reach_later(self, name: str) -> None:
        if self._deliver is not None and name not in self._retries:
            attempts = self._attempts[name] = self._attempts.get(name, 0) + 1
            seconds = min(SELDOM, AGAIN * 2 ** (attempts - 1))
            self._retries[name] = self._loop.call_later(seconds, self._reach_again, name)

    def _reach_again(self, name: str) -> None:
        del self._retries[name]
        self._reach(name)

    def _receive(self) -> Receiver:
        receiver = Receiver(self._counters, self._greeted, self._pass_on, self._receiver_ended)
        self._receivers.add(receiver)
        return receiver

    def _greeted(self, receiver: Receiver, hello: Hello) -> None:
        """Reach who reached us; raises `ValueError` where it cannot be understood."""
        if hello.version != VERSION or not NAME.fullmatch(hello.name):
            raise ValueError(f"{hello!r}, where version {VERSION} was expected")
        self._reach(hello.name)
        self._loop.call_soon(self._changed.set)

    def _pass_on(self, envelope: Envelope) -> None:
        if self._deliver is not None:
            self._deliver(envelope)

    def _receiver_ended(self, receiver: Receiver) -> None:
        self._receivers.discard(receiver)
        self._changed.set()

    def _sender_ended(self, sender: Sender) -> None:
        # Its worker may still be there.
        if self._senders.pop(sender.name, None) is not None:
            self._changed.set()
            self._reach_later(sender.name)

    def _listen(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.bind(str(self._path(".new")))
            sock.listen(BACKLOG)
            # Whoever finds it by its name can connect.
            self._path(".new").rename(self._path(".sock"))
        except OSError:
            sock.close()
            raise
        return sock

    def _flush(self) -> None:
        self._flushing = False
        for sender in list(self._senders.values()):
            sender.flush()

    def _leave(self) -> None:
        self._deliver = None
        # Before the connections: nobody shall come back.
        self._remove(self._name)
        if self._server is not None:
            self._server.close()
            self._server = None
        for timer in self._retries.values():
            timer.cancel()
        self._retries.clear()
        self._attempts.clear()
        for sender in list(self._senders.values()):
            sender.close()
        self._senders.clear()
        for receiver in list(self._receivers):
            receiver.close()
        self._receivers.clear()
        if self._topics is not None:
            self._topics.close()
            self._topics = None

    def _path(self, suffix: str, name: str = "") -> Path:
        return self._folder / f"{name or self._name}{suffix}"

    def _remove(self, name: str) -> None:
        for suffix in (".sock", ".new", ".topics"):
            with contextlib.suppress(OSError):
                self._path(suffix, name).unlink()


def _check_folder(folder: Path) -> None:
    """Raise `BackplaneError` for a folder that others may write to."""
    try:
        found = folder.lstat()
    except OSError as error:
        raise BackplaneError(f"workers cannot meet in {folder}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise BackplaneError(f"workers cannot meet in {folder}: it has to be a folder of this user alone")
