"""Starlette: WebSockets in sets, event streams by sse-starlette.

`uvicorn bench.peers.starlette_app:app --loop uvloop --http httptools --ws websockets-sansio
--ws-per-message-deflate false --no-access-log`
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from itertools import cycle
from typing import Any
from uuid import uuid4

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

__all__ = ["app"]


class Json(JSONResponse):
    """JSON by a faster encoder, as Starlette's documentation has it for orjson."""

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


TOPICS = [f"topic {number}" for number in range(1000)]
topics: defaultdict[str, set[WebSocket]] = defaultdict(set)
streams: set[asyncio.Queue[bytes]] = set()
turn = cycle(TOPICS)


def encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def publish(topic: str, text: str, sender: WebSocket) -> None:
    # One after the other, as in FastAPI's documentation; gather() makes a task for each and is slower.
    for member in tuple(topics[topic]):
        if member is not sender:
            try:
                await member.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                topics[topic].discard(member)


async def joined(websocket: WebSocket, *names: str) -> AsyncIterator[str]:
    """Accept, subscribe, and give what comes until the end."""
    await websocket.accept()
    for name in names:
        topics[name].add(websocket)
    try:
        async for text in websocket.iter_text():
            yield text
    finally:
        for name in names:
            topics[name].discard(websocket)


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def room(websocket: WebSocket) -> None:
    async for text in joined(websocket, "room"):
        if streams:
            push(text, streams)
        await publish("room", text, websocket)


async def chat(websocket: WebSocket) -> None:
    # The chat of the other peers; the document is encoded once for all.
    user = str(uuid4())
    await websocket.accept()
    await websocket.send_text(encoded({"user": "server", "message": f"Welcome {user}!"}))
    await publish("chat", encoded({"user": "server", "message": f"{user} joined!"}), websocket)
    topics["chat"].add(websocket)
    try:
        async for text in websocket.iter_text():
            if "ping" in text:
                await websocket.send_text(encoded({"user": "server", "message": "pong"}))
            else:
                reply = encoded({"user": user, "message": text})
                await websocket.send_text(reply)
                await publish("chat", reply, websocket)
    finally:
        topics["chat"].discard(websocket)


async def many(websocket: WebSocket) -> None:
    async for text in joined(websocket, *TOPICS):
        await publish(next(turn), text, websocket)


async def beside(websocket: WebSocket) -> None:
    async for _ in joined(websocket, websocket.url.path):
        pass


def push(text: str, queues: Iterable[asyncio.Queue[bytes]]) -> None:
    # Encoded once: sse-starlette passes bytes on as they are.
    event = ServerSentEvent(text).encode()
    for queue in queues:
        queue.put_nowait(event)


async def listen(request: Request) -> EventSourceResponse:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def events() -> AsyncIterator[bytes]:
        streams.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            streams.discard(queue)

    return EventSourceResponse(events())


async def tell(request: Request) -> Response:
    push((await request.body()).decode(), streams)
    return Response(status_code=204)


async def hello(request: Request) -> Json:
    return Json({"message": "Hello, world!"})


app = Starlette(
    routes=[
        WebSocketRoute("/ws/echo", echo),
        WebSocketRoute("/ws/room", room),
        WebSocketRoute("/ws/chat", chat),
        WebSocketRoute("/ws/many", many),
        WebSocketRoute("/ws/{kind}/{name}", beside),
        Route("/sse", listen),
        Route("/sse", tell, methods=["POST"]),
        Route("/json", hello),
    ]
)
