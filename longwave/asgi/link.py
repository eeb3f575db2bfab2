"""A link under ASGI: what is written waits in an outbox until `send` took it.

Nothing runs while nothing is written. What was written in one turn, to however many links, has a task that
awaits `send` and ends with it (`AsgiState.stir`). A reader that is itself a coroutine corks the link while
the session works, and awaits `flush` instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from longwave.asgi.state import AsgiState, Deadline
from longwave.contract import Session
from longwave.core.outbox import Outbox
from longwave.types import Piece, SendStatus, SlowPolicy, Wire

__all__ = ["AsgiLink", "Message", "Receive", "Scope", "Send"]

Message: TypeAlias = dict[str, Any]
Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_BATCH: Final = 65536
"""Bytes that leave the outbox together; no policy can drop them any more. uvicorn's HIGH_WATER_LIMIT."""

_GOODBYE: Final = 0.5
"""Seconds for the last message of a task that is cancelled; servers give theirs no more than a moment."""

error_log = logging.getLogger("longwave.error")


class AsgiLink:
    """What WebSockets and bodies have in common.

    `ended` is done when the link is; `task` is the one that waits for `send`, while there is one.
    """

    __slots__ = (
        "_bound",
        "_corked",
        "_flushing",
        "_flying",
        "_high",
        "_outbox",
        "_said",
        "_send",
        "_session",
        "_state",
        "_told",
        "_waiting",
        "ended",
        "ending",
        "task",
        "wire",
    )

    stall: bool = False
    """Whether a client that takes nothing for `timeouts.response` is cut."""

    def __init__(
        self, session: Session, wire: Wire, send: Send, state: AsgiState, policy: SlowPolicy
    ) -> None:
        self.wire = wire
        self._session = session
        self._send = send
        self._state = state
        self._bound = state.limits.outgoing
        self._outbox = Outbox(self._bound, policy)
        self._flying = 0
        self._high = False
        self._corked = False
        self._flushing = False
        self._said = False
        self._told = False
        self.task: asyncio.Task[None] | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.ending: tuple[int, str] | None = None
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def run(self, head: Awaitable[None], begin: Callable[[], object]) -> None:
        """Send the head, open the session, `begin` to read; return when all is over.

        The session hears one `opened` and one `closed`, always: it may have started things when it was made.
        """
        self._state.links.add(self)
        opened = False
        try:
            await head
            opened = True
            self._session.opened(self)
            begin()
            await self.ended
        except OSError:
            pass  # what servers raise for a client that is gone (ASGI 2.4); the session hears of it below
        except asyncio.CancelledError:
            await self.leave()
            raise
        finally:
            self.abort()
            if not opened:
                self._session.opened(self)
            self._state.links.discard(self)
            self.stop()
            self.tell()

    def tell(self) -> None:
        """Tell the session that it is over, once."""
        if not self._told:
            self._told = True
            self._session.closed(*self.outcome)

    @property
    def buffered(self) -> int:
        """Bytes accepted that `send` did not take yet."""
        return self._outbox.size + self._flying

    @property
    def outcome(self) -> tuple[int, str]:
        """The code and reason that the session hears."""
        return self.ending or (1006, "")

    @property
    def is_whole(self) -> bool:
        """Whether what was sent so far is complete in itself."""
        return True

    @property
    def full(self) -> bool:
        """Whether more than half the bound is buffered, so that reading should stop."""
        return 2 * self.buffered > self._bound

    def write(self, piece: Piece) -> SendStatus:
        """Send a piece; `CLOSED` once the link is closing, for whatever reason."""
        if self.ending is not None:
            return SendStatus.CLOSED
        dropped = self._outbox.dropped
        status = self._outbox.offer(piece, self.wire.size(piece), self._flying)
        if self._outbox.dropped != dropped:
            # This piece, or with `drop_old` older ones for it.
            self._state.passed("limits.outgoing")
        if status is SendStatus.CLOSED:
            self.close(1013, "too slow")
        elif status is not SendStatus.DROPPED:
            self._high = self._high or status is SendStatus.BUFFERED
            self._stir()
        return status

    def ping(self, data: bytes = b"") -> None:
        """Do nothing but check: ASGI has no message for a ping; servers ping themselves."""
        if len(data) > 125:
            raise ValueError(f"a ping carries at most 125 bytes, not {len(data)}")

    def pause(self) -> None:
        """Ask for no further messages; a response body has none."""

    def resume(self) -> None:
        """Take back `pause`."""

    async def drained(self, threshold: int = 0) -> None:
        """Return when at most `threshold` bytes are buffered, or when the link is closing."""
        if self.buffered <= threshold or self.ending is not None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((threshold, done))
        await done

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what was written before, then the end of the link. Idempotent."""
        if self.ending is not None:
            return
        self.ending = code, reason
        self._release()
        self._stir()

    def abort(self) -> None:
        """End the exchange at once; what the client sees of that is the server's way."""
        self.finish(1006, "")

    def finish(self, code: int, reason: str) -> None:
        """The link is over; the session hears this code, or an earlier one."""
        self.ending = self.ending or (code, reason)
        if not self.ended.done():
            self.ended.set_result(self.ending)
        self._outbox.clear()
        self._release()

    async def leave(self) -> None:
        """End the link where the server cancels its task, as a server does that stops.

        Nothing is said where the client would take it for the end of something whole.
        """
        self.stop()
        if self.is_whole and self.ending is None and not self.buffered:
            self.ending = 1001, ""
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_GOODBYE):
                    await self._send_end(1001, "")
        self.abort()

    def stop(self) -> None:
        """End the task that waits for `send`; for the one who waited for `ended`."""
        if self.task is not None:
            self.task.cancel()

    def cork(self) -> None:
        """Start no task for what is written until `uncork`; the caller awaits `flush`."""
        self._corked = True

    def uncork(self) -> bool:
        """Take back `cork`; returns whether there is anything to `flush`."""
        self._corked = False
        return bool(self._outbox) or self.ending is not None

    async def flush(self) -> None:
        """Send all that waits, and the end of a closing link; one flush runs at a time."""
        self._corked = False
        if self._flushing or not (self._outbox or self.ending):
            return
        self._flushing = True
        try:
            while self._outbox and not self.ended.done():
                await self._send_batch()
            if self.ending is not None and not self._said and not self.ended.done():
                self._said = True
                await self._send_end(*self.ending)
        except OSError:
            self.finish(1006, "")
        except Exception as error:
            error_log.error("the ASGI server refused a message", exc_info=error)
            self.finish(1006, "")
        finally:
            self._flushing = False

    async def _send_batch(self) -> None:
        batch = self._messages(self._outbox.take(_BATCH))
        for _, size in batch:
            self._flying += size
        timer = Deadline(self._state.timeouts.response, self._stalled) if self.stall else None
        try:
            for message, size in batch:
                await self._send(message)
                self._flying -= size
                self._took()
        finally:
            if timer is not None:
                timer.cancel()

    def _stalled(self) -> None:
        self._state.passed("timeouts.response")
        self.abort()

    def _took(self) -> None:
        size = self.buffered
        if self._high and 4 * size <= self._bound:
            self._high = False
            if self.ending is None:
                self._session.drained()
        if self._waiting:
            for threshold, done in self._waiting:
                if size <= threshold and not done.done():
                    done.set_result(None)
            self._waiting = [entry for entry in self._waiting if not entry[1].done()]

    def _release(self) -> None:
        """Let everyone go on who waits for the link: it is closing."""
        self.resume()
        for _, done in self._waiting:
            if not done.done():
                done.set_result(None)
        self._waiting.clear()

    def _stir(self) -> None:
        if not (self._corked or self._flushing or self.ended.done()):
            self._corked = True  # until it is flushed
            self._state.stir(self)

    def _messages(self, pieces: list[Piece]) -> list[tuple[Message, int]]:
        """Return the messages of some pieces, each with its bytes."""
        raise NotImplementedError

    async def _send_end(self, code: int, reason: str) -> None:
        """Send what ends the link in order, and see to it that `finish` is called."""
        raise NotImplementedError
