"""The same endpoints for a plain ASGI server, without a framework that would cost time of its own.

The room has a queue of at most 1 MiB and a task for each connection. With the loop of most tutorials, which
sends to one after the other, everybody waits for the slowest, and it costs half as much again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["app"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

OVERFLOWS = -1
members: dict[Member, None] = {}
seen: Counter[int] = Counter()
"""Close codes, and how often a queue was full."""


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Serve what `app/` serves."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await (room if scope["path"] == "/bench/room" else echo)(receive, send)
    else:
        await http(scope, receive, send)


async def echo(receive: Receive, send: Send) -> None:
    """Say everything back, or close with the code that is asked for."""
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None and text.startswith("close "):
            await send({"type": "websocket.close", "code": int(text[6:])})
        elif text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
    seen[message.get("code", 1005)] += 1


class Member:
    """A connection with a queue: what is put there is sent by a task, and the slow are closed."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: deque[Message] = deque()
        self._news = asyncio.Event()
        self.size = 0
        self.task = asyncio.create_task(self._run())

    def put(self, message: Message) -> bool:
        """Queue a message; False where the queue holds 1 MiB."""
        if self.size >= 2**20:
            return False
        self._queue.append(message)
        self.size += len(message["text"])
        self._news.set()
        return True

    def close(self) -> None:
        """Close with 1013 in place of what waits."""
        self._queue.clear()
        self.size = 0
        self._queue.append({"type": "websocket.close", "code": 1013})
        self._news.set()

    async def _run(self) -> None:
        with contextlib.suppress(Exception):
            while True:
                while self._queue:
                    message = self._queue.popleft()
                    await self._send(message)
                    self.size -= len(message.get("text", ""))
                self._news.clear()
                await self._news.wait()


async def room(receive: Receive, send: Send) -> None:
    """Tell everybody, and wait for nobody."""
    own = Member(send)
    members[own] = None
    try:
        while (message := await receive())["type"] == "websocket.receive":
            outgoing = {"type": "websocket.send", "text": message["text"]}
            for member in list(members):
                if not member.put(outgoing):
                    members.pop(member, None)
                    seen[OVERFLOWS] += 1
                    member.close()
    finally:
        members.pop(own, None)
        own.task.cancel()


async def http(scope: Message, receive: Receive, send: Send) -> None:
    """Answer a request."""
    path, body = scope["path"], b""
    if path == "/bench/work":
        query = scope["query_string"].partition(b"=")[2]
        until = time.perf_counter() + float(query or b"4") / 1000
        while time.perf_counter() < until:
            pass
        body = b"done"
    elif path == "/bench/body":
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = json.dumps({"size": size}).encode()
    elif path == "/bench/room":
        waits = max((member.size for member in members), default=0)
        body = json.dumps({"buffered": max(0, waits), "overflows": seen[OVERFLOWS]}).encode()
    elif path == "/bench/closed":
        body = json.dumps({str(code): count for code, count in seen.items()}).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
