"""The same endpoints for a plain ASGI server, without a framework that would cost time of its own.

The room is what every tutorial has: a set of connections, and a loop that sends to one after the other.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["app"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

members: dict[Send, None] = {}
seen: Counter[int] = Counter()


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


async def room(receive: Receive, send: Send) -> None:
    """Tell everybody."""
    members[send] = None
    try:
        while (message := await receive())["type"] == "websocket.receive":
            outgoing = {"type": "websocket.send", "text": message["text"]}
            for member in list(members):
                try:
                    await member(outgoing)
                except Exception:
                    members.pop(member, None)
    finally:
        members.pop(send, None)


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
    elif path == "/bench/closed":
        body = json.dumps({str(code): count for code, count in seen.items()}).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
