"""The server under test as an ASGI app, for other people's servers."""

from __future__ import annotations

import json
from typing import Any

begun: dict[int, int] = {}
whole: dict[int, list[list[str]]] = {}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echo WebSocket messages; answer anything else once its body is whole, and note it."""
    if scope["type"] == "websocket":
        await _echo(scope, receive, send)
    elif scope["type"] == "http":
        await _http(scope, receive, send)
    elif scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


async def _echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    offered = scope.get("subprotocols", [])
    protocol = next((name for name in ("chat.v2", "chat.v1") if name in offered), None)
    await send({"type": "websocket.accept", "subprotocol": protocol, "headers": []})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def _http(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if path.startswith("/seen/"):
        port = int(path.removeprefix("/seen/"))
        answer = {"begun": begun.pop(port, 0), "whole": whole.pop(port, [])}
        await _answer(send, json.dumps(answer).encode())
        return
    client = int((scope.get("client") or ("", 0))[1])
    begun[client] = begun.get(client, 0) + 1
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            # A handler that takes what it has for the body: the server alone can keep it from a 200.
            await _answer(send, b"broken")
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    target = (scope.get("raw_path") or path.encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    whole.setdefault(client, []).append(
        [scope["method"], f"{target}?{query}" if query else target, body.decode("latin-1")]
    )
    await _answer(send, b"ok")


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
