"""A Longwave app in a FastAPI app in a Longwave mount: both ends of ASGI at once, in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from longwave import Event, EventStream, HTTPError, create_app, create_event_stream, define_websocket_handler
from longwave.testing import RefusedError, TestClient
from longwave.web.mount import mount_asgi
from tests.asgi.driver import asynchronous, turns


@asynccontextmanager
async def nested(log: list[Any], *, lifespan: bool = True, root_path: str = "") -> AsyncIterator[TestClient]:
    async def echo_body(event: Event) -> dict[str, Any]:
        size = len(await event.bytes())
        return {"path": event.path, "url": event.url, "query": dict(event.query), "size": size}

    def news(event: Event) -> EventStream:
        stream = create_event_stream(event)
        stream.subscribe("news")
        stream.on_closed(lambda: log.append("stream closed"))
        return stream

    def refuse(event: Event) -> None:
        raise HTTPError(401, "who are you?")

    async def wait(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    inner = create_app(
        routes={
            "/body": echo_body,
            "/news": news,
            "/wait": wait,
            "/ws/[room]": define_websocket_handler(
                open=lambda peer: peer.subscribe("news"),
                message=lambda peer, message: peer.publish("news", message.text(), include_self=True),
                close=lambda peer, details: log.append((details.code, details.reason)),
                protocols=("v2",),
            ),
            "/refused": define_websocket_handler(upgrade=refuse),
        }
    )

    @asynccontextmanager
    async def around(app: FastAPI) -> AsyncIterator[None]:
        async with inner.lifespan():
            yield

    outer = FastAPI(lifespan=around if lifespan else None)
    # The argument of that name is deprecated; what it sets is not.
    outer.root_path = root_path
    outer.mount("/live", inner)
    async with TestClient(mount_asgi(outer, "" if root_path else "/api", grace=1.0)) as client:
        yield client
    # Without a lifespan around it nobody ends it.
    await inner.shutdown()


@pytest.mark.parametrize("lifespan", [True, False])
@asynchronous
async def test_requests(lifespan: bool) -> None:
    async with nested([], lifespan=lifespan) as client:
        response = await client.post("/api/live/body?a=1", content=b"x" * 1000)
        url = "http://testserver/api/live/body?a=1"
        assert response.json() == {"path": "/body", "url": url, "query": {"a": "1"}, "size": 1000}
        assert (await client.get("/api/live/nothing")).status == 404
        assert (await client.get("/api/elsewhere")).json() == {"detail": "Not Found"}


@asynchronous
async def test_framework_with_a_root_path_of_its_own() -> None:
    async with nested([], root_path="/proxy") as client:
        seen = (await client.post("/live/body", content=b"x")).json()
        assert (seen["path"], seen["url"]) == ("/body", "http://testserver/proxy/live/body")
        async with client.websocket("/live/ws/blue"):
            pass


@asynchronous
async def test_websocket_and_stream_on_one_topic() -> None:
    log: list[Any] = []
    async with nested(log) as client:
        async with client.websocket("/api/live/ws/blue", protocols=("v1", "v2")) as ws:
            assert ws.protocol == "v2"
            async with client.events("/api/live/news") as stream:
                await ws.send("one")
                assert await ws.receive() == "one"
                assert (await stream.receive()).data == "one"
            await turns()
            assert log == ["stream closed"]
            await ws.close(4000, "bye")
            await turns()
        assert log == ["stream closed", (4000, "bye")]


@asynchronous
async def test_refusal() -> None:
    async with nested([]) as client:
        with pytest.raises(RefusedError, match=r"401: .*who are you"):
            async with client.websocket("/api/live/refused"):
                pass


@asynchronous
async def test_client_that_goes_is_heard_of_all_the_way_down() -> None:
    log: list[Any] = []
    async with nested(log) as client:
        with pytest.raises(TimeoutError):
            await client.get("/api/live/wait", timeout=0.05)
        await turns()
        assert log == ["cancelled"]
