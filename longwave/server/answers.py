"""The answering half of an HTTP connection: replies, streams, upgrades, refusals, and the end."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from longwave.contract import Address, FullReply, Reply, Request, StreamReply, UpgradeReply, failed_reply
from longwave.core.deflate import negotiate
from longwave.core.handshake import accept_key, encode_switch
from longwave.core.http1 import Head, Http1
from longwave.core.http1_write import (
    asks_close,
    encode_error,
    encode_head,
    encode_response,
    has_body,
    stream_framing,
)
from longwave.core.sse import BODY, BODY_CHUNKED, sse_wire
from longwave.errors import RequestError
from longwave.server.body import RequestBody
from longwave.server.connection import HOLD_BODY, LINGER, NEVER, Connection
from longwave.server.deflated import make_websocket
from longwave.server.refusals import REFUSED, access_line, refusal
from longwave.server.state import ERRORS, Worker
from longwave.server.stream import StreamLink

__all__ = [
    "ABORTED",
    "BUSY",
    "DRAIN",
    "DRAINING",
    "GONE",
    "IDLE",
    "LINGERING",
    "READING",
    "STREAMING",
    "AnsweringConnection",
]

IDLE: Final = 0
"""No request, or the head of one is not complete."""
READING: Final = 1
"""A head was read; so much of its body as came with it is read before the application is asked."""
BUSY: Final = 2
"""The application has the request."""
STREAMING: Final = 3
"""A response head was sent, a session writes the body."""
DRAINING: Final = 4
"""The answer was sent; the rest of the request body is thrown away."""
LINGERING: Final = 5
"""Nothing more is answered; see `Connection.linger`."""
GONE: Final = 6

DRAIN: Final = 64 * 1024
"""Bytes of an unread request body that are thrown away to keep the connection. Go: 256 KiB."""

ABORTED: Final = "the client went away before the request was complete"


class AnsweringConnection(Connection):
    """What became of the current request, and everything that is written for it."""

    __slots__ = (
        "_body",
        "_client",
        "_continue",
        "_deadline",
        "_drained",
        "_eof",
        "_head",
        "_heir",
        "_http",
        "_in_head",
        "_is_new",
        "_link",
        "_refused",
        "_request",
        "_state",
        "_task",
    )

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._http = Http1(worker.limits)
        self._state = IDLE
        self._head: Head | None = None
        self._heir: Connection | None = None
        self._request: Request | None = None
        self._body: RequestBody | None = None
        self._task: asyncio.Future[Reply] | None = None
        self._link: StreamLink | None = None
        self._client: Address | None = None
        self._deadline = NEVER
        self._in_head = False
        self._is_new = True
        self._eof = False
        self._continue = False
        self._drained = 0
        self._refused = 0

    def _advance(self) -> None:
        """Go on with what was read; the reading half does it."""

    def _answer(self, reply: Reply) -> None:
        """Send an answer, or the head of one; what cannot be sent becomes a 500."""
        if self._state != BUSY or not self._open:
            if isinstance(reply, StreamReply):
                _discard(self, reply)
            elif isinstance(reply, UpgradeReply):
                reply.session.closed(1006, "")
            return
        try:
            if isinstance(reply, FullReply):
                self._send(reply)
            elif isinstance(reply, StreamReply):
                self._stream(reply)
            else:
                self._upgrade(reply)
        except RequestError as error:
            self._reject(error)
            if isinstance(reply, UpgradeReply):
                reply.session.closed(1006, "")
        except Exception:
            # A field or a subprotocol that would inject something, or that is none at all.
            self.worker.errors += 1
            ERRORS.exception("an answer could not be sent")
            if self._state != BUSY:
                self.abort()
                return
            if isinstance(reply, StreamReply):
                _discard(self, reply)
            self._send(failed_reply())

    def _send(self, reply: FullReply) -> None:
        head = self._head
        assert head is not None
        keep_alive = not head.is_upgrade and self._may_go_on(head, reply)
        piece = encode_response(
            reply.status,
            reply.headers,
            reply.body,
            head_only=head.method == "HEAD",
            keep_alive=keep_alive,
            http_version=head.http_version,
            date=self.worker.date,
        )
        self._log(reply.status)
        self.write_control(piece)
        self._answered(keep_alive)

    def _stream(self, reply: StreamReply) -> None:
        head = self._head
        assert head is not None
        head_only = head.method == "HEAD" or not has_body(reply.status)
        chunked, keep_alive = stream_framing(
            reply.status,
            reply.headers,
            http_version=head.http_version,
            head_only=head_only,
            keep_alive=self._may_go_on(head, reply),
        )
        piece = encode_head(
            reply.status,
            reply.headers,
            chunked=chunked,
            keep_alive=keep_alive,
            http_version=head.http_version,
            date=self.worker.date,
        )
        length = next((int(value) for name, value in reply.headers if name == b"content-length"), None)
        is_events = reply.format == "sse"
        wire = sse_wire(chunked) if is_events else BODY_CHUNKED if chunked else BODY
        worker = self.worker
        worker.streams += 1
        self._log(reply.status)
        left = None if chunked or head_only else length
        link = self._link = StreamLink(self, reply.session, wire, left, keep_alive, is_events)
        self._state = STREAMING
        if self._request is not None:
            # A stream stays for hours: it keeps the head as it came, not what was read out of it.
            self._request.release()
            head.headers = []
        self.cork()
        self.write_control(piece)
        if head_only:
            link.cut_short(1000)
            worker.loop.call_soon(self._stream_ended, link)
        link.open()
        self.uncork()
        if self._eof and link.is_open and left is None:
            self.abort()

    def end_stream(self, link: StreamLink) -> None:
        """A session closed its link: end the body, and go on in a turn of its own."""
        if self._open and link.wire.end:
            self.write_control(link.wire.end)
        if self._flow is not None:
            self._flow.wake(-1)
        self.worker.loop.call_soon(self._stream_ended, link)

    def _stream_ended(self, link: StreamLink) -> None:
        link.lose()
        if self._state == STREAMING and self._link is link:
            self._link = None
            if link.left:
                # The client waits for bytes that will not come; only the end of the connection tells it.
                ERRORS.error("a response is shorter than its content-length; the connection is cut")
                self.abort()
            else:
                self._answered(link.keep_alive)
                self._advance()

    def _upgrade(self, reply: UpgradeReply) -> None:
        head = self._head
        assert head is not None and self._request is not None
        if not head.is_upgrade:
            raise ValueError("the application accepted a WebSocket that nobody asked for")
        key = next(value for name, value in head.headers if name == b"sec-websocket-key")
        agreed = None if reply.compress is None else negotiate(head.headers, reply.compress)
        extensions = b"" if agreed is None else agreed.response
        piece = encode_switch(accept_key(key), reply.protocol, reply.headers, extensions)
        worker = self.worker
        worker.upgrades += 1
        self._log(101)
        self.flush()
        rest = self._http.take_rest()
        websocket = make_websocket(worker, reply, agreed)
        websocket.address = self.address
        self._heir = websocket
        self._state = GONE
        self._take_no_more()
        holds, self._holds = self._holds, 0
        if holds:
            self._transport.resume_reading()
        worker.connections.discard(self)
        transport = self._transport
        transport.set_protocol(websocket)
        self._request.release()
        websocket.take_over(transport, piece, rest)
        if self._eof:
            websocket.eof_received()
            transport.close()

    def _answered(self, keep_alive: bool) -> None:
        """The answer was given to the transport: on to the rest of the body, the next request, or the end."""
        if not keep_alive:
            self._end(linger=True)
        elif self._body is not None:
            self._state = DRAINING
            self._drained = 0
            self.quiet = False
            self.release(HOLD_BODY)
        else:
            self._await_request()

    def _await_request(self) -> None:
        self._http.next_request()
        self._state = IDLE
        self._head = self._request = None
        self._in_head = self._http.held > 0
        timeouts = self.worker.timeouts
        self._set_deadline(timeouts.header if self._in_head else timeouts.keep_alive)

    def _may_go_on(self, head: Head, reply: FullReply | StreamReply) -> bool:
        """Whether another request may follow on this connection."""
        if not head.keep_alive or self.worker.stopping or self._continue or asks_close(reply.headers):
            return False
        body = self._body
        return body is None or head.content_length is None or head.content_length - body.received <= DRAIN

    def _reject(self, error: RequestError) -> None:
        """Answer a request that cannot be read; after it nothing that follows can be trusted."""
        state = self._state
        if state >= LINGERING:
            return
        if error.limit is not None:
            self.worker.passed(error.limit)
        self._stop_work(error)
        link = self._link
        if link is not None and link.is_open:
            self.abort()
            return
        if state < STREAMING:
            headers = {key: value for key, value in error.headers.items() if key.lower() != "connection"}
            is_head = self._head is not None and self._head.method == "HEAD" and state != IDLE
            piece = encode_error(
                error.status, error.message, headers, date=self.worker.date, head_only=is_head
            )
            self._log(error.status)
            self.write_control(piece)
        self._end(linger=True)

    def _refuse(self, head: Head) -> None:
        """Answer one connection too many."""
        status = self._refused
        self.worker.passed(REFUSED[status])
        piece = refusal(status, head.method, head.headers, self.worker.date)
        self._log(status)
        self.write_control(piece)
        self._end(linger=True)

    def _end(self, linger: bool) -> None:
        """Close, when what was written is on its way."""
        self._state = LINGERING
        self._stop_work(RequestError(400, ABORTED))
        self.flush_all()
        self._shut()
        self._deadline = self.worker.now + self.worker.period + LINGER
        self._holds = 0
        if linger and not self._eof:
            self._transport.resume_reading()
            self.linger()
        else:
            self._transport.close()

    def _stop_work(self, error: RequestError) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.fail(error)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _set_deadline(self, seconds: float) -> None:
        # `now` is as old as the last sweep: one period more, so that nobody gets less than was said.
        self._deadline = self.worker.now + self.worker.period + seconds if seconds else NEVER

    def _address(self) -> Address | None:
        if self._client is None:
            name: Any = self._transport.get_extra_info("peername")
            if isinstance(name, tuple):
                self._client = (name[0], name[1])
        return self._client

    def _log(self, status: int) -> None:
        access = self.worker.access
        if access is not None:
            access.info(access_line(self._address(), self._head, status))


def _discard(connection: AnsweringConnection, reply: StreamReply) -> None:
    """Let a session begin and end that nobody will hear: it may hold things that want to be closed."""
    link = StreamLink(connection, reply.session, BODY, None, False, False)
    link.cut_short(1006)
    link.open()
    link.lose()
