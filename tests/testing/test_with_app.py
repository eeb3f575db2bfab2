"""The client over a real application: what a user's tests do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave import Event, EventStream, HTTPError, create_app, create_event_stream, define_websocket_handler
from longwave.testing import FakeClock, RefusedError, TestClient
from tests.asgi.driver import asynchronous


@asynchronous
async def test_chat() -> None:
    chat = define_websocket_handler()

    @chat.open
    def greet(peer: Any) -> None:
        peer.subscribe("chat")
        peer.send({"welcome": True})

    @chat.message
    def relay(peer: Any, message: Any) -> None:
        peer.publish("chat", message.text(), include_self=True)

    async with TestClient(create_app(routes={"/chat": chat})) as client:
        async with client.websocket("/chat") as one, client.websocket("/chat") as two:
            assert await one.receive_json() == {"welcome": True}
            assert await two.receive_json() == {"welcome": True}
            await one.send("hello")
            assert [await one.receive(), await two.receive()] == ["hello", "hello"]


@asynchronous
async def test_heartbeat_without_waiting() -> None:
    def quiet(event: Event) -> EventStream:
        return create_event_stream(event)

    clock = FakeClock()
    async with TestClient(create_app(routes={"/quiet": quiet}, clock=clock)) as client:
        async with client.events("/quiet") as stream:
            await clock.advance(14)
            assert stream.comments == []
            await clock.advance(2)
            assert len(stream.comments) == 1


@asynchronous
async def test_generator_and_its_end() -> None:
    ended: list[bool] = []

    async def tokens(event: Event) -> AsyncIterator[str]:
        try:
            yield "one"
            yield "two"
        finally:
            ended.append(True)

    async with TestClient(create_app(routes={"/tokens": tokens})) as client:
        async with client.events("/tokens") as stream:
            assert [event.data async for event in stream if event.event == "message"] == ["one", "two"]
        assert ended == [True]
        assert (await client.get("/tokens", headers={"last-event-id": "longwave-end"})).status == 204


@asynchronous
async def test_upgrade_hook_that_refuses() -> None:
    def refuse(event: Event) -> None:
        raise HTTPError(401, "who are you?", headers={"www-authenticate": "Bearer"})

    async with TestClient(create_app(routes={"/chat": define_websocket_handler(upgrade=refuse)})) as client:
        with pytest.raises(RefusedError) as refused:
            async with client.websocket("/chat"):
                pass
    response = refused.value.response
    assert (response.status, response.json()["message"]) == (401, "who are you?")
    assert response.headers["www-authenticate"] == "Bearer"


@asynchronous
async def test_foreign_origin() -> None:
    async with TestClient(create_app(routes={"/chat": define_websocket_handler()})) as client:
        with pytest.raises(RefusedError, match="403"):
            async with client.websocket("/chat", headers={"origin": "http://elsewhere.example"}):
                pass
        async with client.websocket("/chat", headers={"origin": "http://testserver"}):
            pass
