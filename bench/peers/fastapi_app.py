"""FastAPI: JSON, and event streams by `fastapi.sse`. Served by uvicorn as Starlette is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

from fastapi import FastAPI, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

__all__ = ["app"]

app = FastAPI(openapi_url=None)
streams: set[asyncio.Queue[ServerSentEvent]] = set()


@app.get("/json")
async def hello() -> dict[str, str]:
    return {"message": "Hello, world!"}


@app.get("/sse", response_class=EventSourceResponse)
async def listen() -> AsyncIterable[ServerSentEvent]:
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
    streams.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        streams.discard(queue)


@app.post("/sse", status_code=204)
async def tell(request: Request) -> Response:
    # Made and validated once for all streams; `raw_data` is not encoded as JSON.
    event = ServerSentEvent(raw_data=(await request.body()).decode())
    for queue in streams:
        queue.put_nowait(event)
    return Response(status_code=204)
