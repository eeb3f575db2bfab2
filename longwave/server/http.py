"""A connection that speaks HTTP/1.1: it reads requests, one after the other, and asks the application."""

from __future__ import annotations

import asyncio
from typing import cast

from longwave.contract import FullReply, Reply, Request, StreamReply, UpgradeReply, failed_reply
from longwave.core.handshake import check_upgrade, offered_protocols
from longwave.core.http1 import Data, Head, parse_fields
from longwave.core.http1_write import CONTINUE
from longwave.errors import RequestError
from longwave.server.answers import (
    ABORTED,
    BUSY,
    DRAIN,
    DRAINING,
    GONE,
    IDLE,
    LINGERING,
    READING,
    AnsweringConnection,
)
from longwave.server.body import RequestBody
from longwave.server.connection import HOLD_BODY, HOLD_TURN, HOLD_WAITING, NEVER, OVER, Transport
from longwave.server.state import ERRORS, Worker

__all__ = ["HttpConnection"]

FIRST = 0.1
"""Seconds that a client which has just connected has for its first request when the server stops."""


class HttpConnection(AnsweringConnection):
    """One connection from its first byte to its end, or to its upgrade."""

    __slots__ = ("_advancing", "_waiting")

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._advancing = False
        self._waiting = 0

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room for one connection more."""
        worker = self.worker
        self._transport = cast(Transport, transport)
        self._refused = worker.admit(self, transport.get_extra_info)
        self.take_transport(self._transport)
        self._set_deadline(worker.timeouts.header)
        if worker.stopping:
            # Accepted in the turn in which the listener was closed.
            self.finish(0)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        state = self._state
        if state >= LINGERING:
            return
        self.quiet = False
        http = self._http
        http.receive(data)
        if state == IDLE:
            if not self._in_head:
                self._in_head = True
                self._set_deadline(self.worker.timeouts.header)
            waits = self._flow is not None and self._flow.congested
        else:
            waits = self._body is None
        if waits:
            # Behind the request that is being answered, or behind answers that the client does not take. A
            # head whose end is split between two reads is not counted; then the bytes are what bounds it.
            limits = self.worker.limits
            self._waiting += data.count(b"\r\n\r\n")
            if self._waiting >= limits.pipeline or http.held > limits.request_line + limits.headers:
                self.worker.passed("limits.pipeline")
                self.hold(HOLD_WAITING)
            return
        self._advance()

    def eof_received(self) -> bool:
        """The client sends no more.

        A plain request still gets its answer, a stream is over.
        """
        self._eof = True
        link = self._link
        if link is not None and link.is_open and link.left is None:
            self.abort()
            return False
        self._advance()
        # TLS has no half of a connection.
        return self._state < LINGERING and self._transport.can_write_eof()

    def resume_writing(self) -> None:
        """The client takes what it was sent: the next request may be answered."""
        super().resume_writing()
        if self._state == IDLE and self._open:
            if self._in_head:
                self._set_deadline(self.worker.timeouts.header)
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whoever works for it hears that."""
        if self._heir is not None:
            # TLS chose whom to tell before it gave us what it had read, a request to become a WebSocket.
            self._heir.connection_lost(exc)
            return
        if self._refused:
            self.worker.refused -= 1
        super().connection_lost(exc)
        self._state = GONE
        self._stop_work(RequestError(400, ABORTED))
        link, self._link = self._link, None
        if link is not None:
            link.lose()

    # What the worker asks.

    def check(self, now: float) -> None:
        """Look at the time-outs."""
        if (self._transport.get_write_buffer_size() and self.stuck(now)) or (self._holds and self.is_reset()):
            self.abort()
            return
        state = self._state
        late = now >= self._deadline
        if state == IDLE:
            # A client that is slow to take an answer is not asked for its next request meanwhile.
            if late and (self._flow is None or not self._flow.congested):
                self._idle_too_long()
        elif state == LINGERING:
            if late and not self._transport.get_write_buffer_size():
                self._transport.abort()
        elif self._body is not None and (state == DRAINING or self._body.is_awaited) and not self._continue:
            if not self.quiet:
                self.quiet = True
                self._deadline = now + (self.worker.timeouts.body or NEVER)
            elif late:
                message = "the request body did not come in time"
                self._reject(RequestError(408, message, limit="timeouts.body"))

    @property
    def is_lasting(self) -> bool:
        """Whether an event stream is open."""
        link = self._link
        return link is not None and link.is_events and link.is_open

    def finish(self, code: int) -> None:
        """End what is idle or an event stream at once; a request gets its answer first.

        Also the first one of a connection, if it is on its way.
        """
        link = self._link
        if link is not None:
            if link.is_events:
                link.dismiss(code)
        elif self._state == IDLE and not self._http.held:
            if self._is_new:
                self.worker.loop.call_later(FIRST, self._finish_new)
            else:
                self._end(linger=False)

    def _finish_new(self) -> None:
        if self._state == IDLE and not self._http.held:
            self._end(linger=False)

    # What the body and the stream of the current request ask.

    def body_wanted(self) -> None:
        """Somebody reads the request body."""
        if self._continue and self._state == BUSY:
            self._continue = False
            self.write_control(CONTINUE)
        self.quiet = False
        self.release(HOLD_BODY)
        # What waits for the next turn of the loop must not go on inside the handler that reads it.
        if not self._holds & HOLD_TURN:
            self._advance()

    # Reading.

    def _advance(self) -> None:
        """Go as far as what was read allows, within this connection's share of a turn."""
        if self._advancing:
            return
        self._advancing = True
        left = self.worker.limits.messages_per_turn
        end = 0.0
        try:
            while self._step():
                left -= 1
                if left & 15 == 15:
                    end = self.turn_end(end)
                    if end == OVER:
                        left = 0
                if left <= 0:
                    self.end_turn(end)
                    break
        except RequestError as error:
            self._reject(error)
        finally:
            self._advancing = False
            self.uncork()

    def _turn(self) -> None:
        self.release(HOLD_TURN)
        self._advance()

    def _readable(self) -> None:
        if not self._eof:
            self._transport.resume_reading()

    def _relieved(self) -> None:
        if self._link is not None:
            self._link.relieved()

    def _overflowed(self) -> None:
        # EventSource comes back with its last id and gets what it missed.
        if self._link is not None:
            self._link.close(1013, "too slow")

    def _step(self) -> bool:
        """Do the next thing; return whether there may be another."""
        state = self._state
        if state == IDLE:
            return self._next_request()
        body = self._body
        if body is None or not READING <= state <= DRAINING:
            return False
        if body.is_full and state != READING:
            self.hold(HOLD_BODY)
            return False
        event = None if body.is_full else self._http.next_event()
        if event is None:
            if self._eof and not body.is_full:
                raise RequestError(400, ABORTED)
            if state == READING:
                self._dispatch(body)
                return True
            return False
        if isinstance(event, Data):
            self._continue = False
            if state != DRAINING:
                body.feed(event.data)
            else:
                self._drained += len(event.data)
                if self._drained > DRAIN:
                    self._end(linger=True)
        else:
            self._body = None
            body.end()
            if state == READING:
                self._dispatch(body)
            elif state == DRAINING:
                self._await_request()
        return True

    def _next_request(self) -> bool:
        if self._flow is not None and self._flow.congested:
            return False
        head = self._http.next_event()
        if head is None:
            self._waiting = 0
            self.release(HOLD_WAITING)
            if self._eof:
                if self._http.held:
                    raise RequestError(400, ABORTED)
                self._end(linger=False)
            elif self.worker.stopping and not self._http.held:
                self._end(linger=False)
            return False
        assert isinstance(head, Head)
        self.worker.requests += 1
        self._head = head
        self._in_head = self._is_new = False
        self._deadline = NEVER
        self._state = READING
        self._continue = head.expects_continue
        if self._http.held and not head.has_body:
            # Another request waits: the answers are written together, at the end of `_advance`.
            self.cork()
        if self._refused:
            self._refuse(head)
        elif head.has_body:
            self._body = RequestBody(self, self.worker.loop)
        else:
            self._dispatch(None)
        return True

    # Asking the application, and answering.

    def _dispatch(self, body: RequestBody | None) -> None:
        """Give the request to the application; what no application needs to see is refused here."""
        head = self._head
        assert head is not None
        if head.is_upgrade:
            check_upgrade(head.method, head.http_version, head.headers)
            offered_protocols(head.headers)
        worker = self.worker
        request = self._request = Request(
            head.method,
            head.target,
            head.headers,
            body,
            http_version=head.http_version,
            scheme=worker.scheme,
            client=self._address(),
            is_upgrade=head.is_upgrade,
            raw=head.raw,
            parse=parse_fields,
        )
        self._state = BUSY
        self.quiet = False
        try:
            reply = worker.application.handle(request)
        except Exception:
            self.worker.errors += 1
            ERRORS.exception("the application failed")
            reply = failed_reply()
        if isinstance(reply, (FullReply, StreamReply, UpgradeReply)):
            self._answer(reply)
        else:
            self._task = asyncio.ensure_future(reply, loop=worker.loop)
            self._task.add_done_callback(self._replied)

    def _replied(self, done: asyncio.Future[Reply]) -> None:
        """Take the reply that was waited for; one that comes too late is put away by `_answer`."""
        is_current = self._task is done
        if is_current:
            self._task = None
        if done.cancelled():
            if not is_current:
                return
            # Not by us: somebody else cancelled the work, and the client still waits.
            reply: Reply = failed_reply()
        elif (error := done.exception()) is not None:
            self.worker.errors += 1
            ERRORS.error("the application failed", exc_info=error)
            reply = failed_reply()
        else:
            reply = done.result()
        self._answer(reply)
        self._advance()

    def _idle_too_long(self) -> None:
        if self._in_head or self._is_new:
            self._reject(RequestError(408, "the request did not come in time", limit="timeouts.header"))
        else:
            self.worker.passed("timeouts.keep_alive")
            self._end(linger=False)
