"""One WebSocket under ASGI, from the request to the close: accepted or refused, then messages both ways."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any, Final

from longwave.asgi.http import complete, refusal
from longwave.asgi.link import AsgiLink, Message, Receive, Scope, Send
from longwave.asgi.scope import make_request
from longwave.asgi.state import AsgiState, Deadline
from longwave.asgi.wire import ASGI_WS
from longwave.contract import Application, FullReply, Reply, Session, StreamReply, UpgradeReply, failed_reply
from longwave.core.bucket import Bucket
from longwave.core.http1_write import check_field
from longwave.errors import RequestError
from longwave.types import Piece, SendStatus, SlowPolicy

__all__ = ["WebSocketLink", "serve_websocket"]

error_log = logging.getLogger("longwave.error")

SUSPENDED: Final = 20e-6
"""Seconds of waiting for a message after which others have had their turn: `receive` was suspended."""


class WebSocketLink(AsgiLink):
    """A WebSocket: pieces are lists of `websocket.send`; reading can be paused."""

    __slots__ = ("_close_timer", "_paused", "_resumed", "too_fast")

    def __init__(self, session: Session, send: Send, state: AsgiState, policy: SlowPolicy) -> None:
        super().__init__(session, ASGI_WS, send, state, policy)
        self._paused = False
        self._resumed: asyncio.Future[None] | None = None
        self._close_timer: Deadline | None = None

    @property
    def held(self) -> bool:
        """Whether messages of the client must wait."""
        is_full = 2 * (self._outbox.size + self._flying) > self._bound
        return (self._paused or is_full) and self.ending is None

    def pause(self) -> None:
        """Ask for no further messages."""
        self._paused = self.ending is None

    def resume(self) -> None:
        """Take back `pause`."""
        self._paused = False
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    async def ready(self) -> None:
        """Return when messages may be handed over again, or when the link is closing."""
        while self.held:
            if self._paused:
                self._resumed = asyncio.get_running_loop().create_future()
                await self._resumed
            else:
                await self.drained(self._bound // 4)

    def write(self, piece: Piece) -> SendStatus:
        """Send a piece, at the bound message by message.

        What is published within one turn is joined.
        """
        size = piece.size
        if 2 * (self._outbox.size + self._flying + size) <= self._bound and self.ending is None:
            self._outbox.add(piece, size)
            if not self._corked:
                self._stir()
            return SendStatus.SENT
        if self.buffered + size <= self._bound:
            return super().write(piece)
        status = SendStatus.SENT
        for one in piece.split():
            status = super().write(one)
            if status is SendStatus.CLOSED:
                break
        return status

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close by the handshake; what is not done within `timeouts.close` is cut."""
        if self.ending is None:
            self._close_timer = Deadline(self._state.timeouts.close, self._unanswered)
            super().close(code, reason)

    def finish(self, code: int, reason: str) -> None:
        """The WebSocket is over, with the code that the session hears."""
        if self._close_timer is not None:
            self._close_timer.cancel()
        super().finish(code, reason)

    def _unanswered(self) -> None:
        self._state.passed("timeouts.close")
        self.abort()

    def disconnected(self, message: Message) -> None:
        """The server says that the client closed, or that it is gone."""
        code = message.get("code") or 1005
        # uvicorn says 1005 for a connection that was lost as well, and then leaves the reason out.
        lost = code == 1006 or (code == 1005 and "reason" not in message)
        self.finish(1006 if lost else code, message.get("reason") or "")

    async def _send_batch(self) -> None:
        only = self._outbox.only()
        if only is None:
            await super()._send_batch()
            return
        self._flying += only.size
        for one in only.split():
            await self._send(one[0])
            self._flying -= one.size
            if self._high or self._waiting:
                self._took()

    def _messages(self, pieces: list[Piece]) -> list[tuple[Message, int]]:
        return [(one[0], one.size) for piece in pieces for one in piece.split()]

    async def _send_end(self, code: int, reason: str) -> None:
        # `finish` follows with `websocket.disconnect`, when the client answered, or by the timer of `close`.
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def serve_websocket(
    application: Application, scope: Scope, receive: Receive, send: Send, state: AsgiState
) -> None:
    """Answer a scope of type `websocket`, and serve the WebSocket that it becomes."""
    if (await receive())["type"] != "websocket.connect":
        return
    reply = await _ask(application, scope, receive)
    if isinstance(reply, UpgradeReply):
        await _open(reply, receive, send, state)
    elif reply is not None:
        await _refuse(reply, scope, send, state)


async def _ask(application: Application, scope: Scope, receive: Receive) -> Reply | None:
    """Return the reply, or None where the client went away before there was one."""
    try:
        answer = application.handle(make_request(scope))
        if isinstance(answer, (FullReply, StreamReply, UpgradeReply)):
            return answer
    except RequestError as error:
        return refusal(error)
    task: asyncio.Future[Reply] = asyncio.ensure_future(answer)
    # Before `accept` the one message that can come is the disconnect.
    leaving: asyncio.Future[Message] = asyncio.ensure_future(receive())
    waiting: set[asyncio.Future[Any]] = {task, leaving}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    except RequestError as error:
        return refusal(error)
    finally:
        leaving.cancel()
        task.cancel()


async def _refuse(reply: FullReply | StreamReply, scope: Scope, send: Send, state: AsgiState) -> None:
    """Answer the handshake with a response, where the server can send one; else it answers 403."""
    if isinstance(reply, StreamReply):
        error_log.error("a stream was the answer to a WebSocket handshake for %r", scope["path"])
        link = WebSocketLink(reply.session, send, state, SlowPolicy.CLOSE)
        link.abort()
        reply.session.opened(link)
        reply.session.closed(*link.outcome)
        reply = failed_reply()
    try:
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        headers, data = complete(reply)
        if scope.get("http_version", "1.1").startswith("1."):
            headers = [*headers, (b"connection", b"close")]
        await send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": data, "more_body": False})
        # uvicorn logs an error for a refusal whose application returns before the connection is gone.
        await asyncio.sleep(0)
    except ValueError as error:
        error_log.error("the answer to %r cannot be sent: %s", scope["path"], error)
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
    except OSError:
        pass  # the client is gone; there is nobody to refuse


async def _open(reply: UpgradeReply, receive: Receive, send: Send, state: AsgiState) -> None:
    link = WebSocketLink(reply.session, send, state, reply.policy)
    reader = _Reader(link, reply.session, receive, state)
    try:
        await link.run(_accept(reply, send), reader.start)
    finally:
        reader.stop()


async def _accept(reply: UpgradeReply, send: Send) -> None:
    headers = [check_field(name, value) for name, value in reply.headers]
    await send({"type": "websocket.accept", "subprotocol": reply.protocol, "headers": headers})


class _Reader:
    """Hands the messages of one WebSocket to its session, in order, within the limits."""

    __slots__ = ("_link", "_rate", "_receive", "_session", "_state", "_task")

    def __init__(self, link: WebSocketLink, session: Session, receive: Receive, state: AsgiState) -> None:
        self._link = link
        self._session = session
        self._receive = receive
        self._state = state
        rate = state.limits.message_rate
        self._rate = Bucket(rate) if rate else None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        link, receive, state = self._link, self._receive, self._state
        most, turn = state.limits.messages_per_turn, state.timeouts.turn
        short, rate = state.limits.message // 4, self._rate
        count, since = 0, monotonic()
        done = since
        try:
            while True:
                message = await receive()
                now = monotonic()
                if now - done > SUSPENDED:
                    count, since = 0, now
                if message["type"] != "websocket.receive":
                    link.disconnected(message)
                    return
                if link.held:
                    await link.ready()
                if link.ending is not None:
                    continue  # what comes after our close is not heard, but its answer is
                text = message.get("text")
                data = bytes(message["bytes"]) if text is None else text
                # A character has at most four bytes: most texts need not be encoded to be measured.
                if (rate is None and len(data) <= short) or self._allows(data, now):
                    link.cork()
                    self._hand_over(data, text is not None)
                if link.uncork():
                    await link.flush()
                count += 1
                done = monotonic()
                if count >= most or done - since > turn:
                    # Servers hand over what they have without a pause; others must get their turn.
                    state.passed("limits.messages_per_turn" if count >= most else "timeouts.turn")
                    await asyncio.sleep(0)
                    count = 0
                    since = done = monotonic()
        except OSError:
            link.abort()
        except Exception as error:
            error_log.error("reading a WebSocket failed", exc_info=error)
            link.abort()

    def _hand_over(self, data: str | bytes, is_text: bool) -> None:
        try:
            self._session.received(data, is_text)
        except Exception as error:
            error_log.error("a WebSocket session failed; it is closed with 1011", exc_info=error)
            self._link.close(1011, "internal error")

    def _allows(self, data: str | bytes, now: float) -> bool:
        limit = self._state.limits.message
        size = len(data)
        if size > limit or (isinstance(data, str) and 4 * size > limit and len(data.encode()) > limit):
            self._state.passed("limits.message")
            self._link.close(1009, f"a message has at most {limit} bytes")
            return False
        if self._rate is not None and not self._rate.take(now):
            self._state.passed("limits.message_rate")
            self._link.close(1008, "too many messages")
            return False
        return True
