"""Checks of the README, the tutorial and the migration page."""

from __future__ import annotations

import json
import re

from longwave.config import load_settings
from longwave.testing import TestClient
from tests.docs.registry import check, passes
from tests.docs.samples import Sample


@check("README.md", "forms")
async def forms(sample: Sample) -> None:
    async with sample.client() as client:
        async with client.websocket("/api/ws/room") as one, client.events("/api/room") as stream:
            assert await one.receive_json() == {"user": "server", "text": "Welcome, there are 1 of us."}
            async with client.websocket("/api/ws/room") as two:
                assert await two.receive_json() == {"user": "server", "text": "Welcome, there are 2 of us."}
                said = {"user": "Ada", "text": "Hello"}
                await two.send_json(said)
                assert await one.receive_json() == await two.receive_json() == said
                assert await stream.receive_json() == said
                await two.send_json({"user": "Ada"})
                answer = await two.receive_json()
                assert answer["error"] is True and "text" in answer["message"]
            response = await client.post("/api/room", json={"user": "job", "text": "done"})
            assert response.json() == {"ok": True}
            assert await one.receive_json() == await stream.receive_json() == {"user": "job", "text": "done"}
        async with client.events("/api/clock") as stream:
            assert re.fullmatch(r"It is \d\d:\d\d:\d\d", (await stream.receive()).data)
        async with client.events("/api/count?to=2") as stream:
            assert [(event.event, event.data) async for event in stream] == [
                ("message", "number 0"),
                ("message", "number 1"),
                ("longwave:end", ""),
            ]
    async with TestClient(sample.names["app"]) as client:
        assert (await client.get("/hello/Ada")).json() == {"hello": "Ada"}


@check("README.md", "three-files")
async def three_files(sample: Sample) -> None:
    async with sample.client() as client:
        async with client.websocket("/api/ws/chat") as one, client.websocket("/api/ws/chat") as two:
            assert re.fullmatch(r"Welcome [0-9a-f-]{36}!", (await one.receive_json())["message"])
            name = (await two.receive_json())["message"].split()[1].rstrip("!")
            assert await one.receive_json() == {"user": "server", "message": f"{name} joined!"}
            await two.send("hi")
            heard = [await one.receive_json(), await two.receive_json()]
            assert heard == [{"user": name, "message": "hi"}] * 2
            await two.send("ping")
            assert json.loads(await two.receive()) == {"user": "server", "message": "pong"}
            await two.close()
            assert await one.receive_json() == {"user": "server", "message": f"{name} left!"}
        async with client.events("/api/sse") as stream:
            assert re.fullmatch(r"Message @ \d\d:\d\d:\d\d", (await stream.receive()).data)


TUTORIAL = "docs/tutorial.md"


@check(TUTORIAL, "hello")
async def hello(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await client.get("/hello")).text == "Hello!"


@check(TUTORIAL, "name")
async def name(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await client.get("/hello")).text == "Hello!"
        assert (await client.get("/hello/Ada?greeting=Bonjour")).text == '{"text":"Bonjour, Ada!"}'


@check(TUTORIAL, "clock")
async def clock(sample: Sample) -> None:
    async with sample.client() as client, client.events("/api/clock") as stream:
        assert re.fullmatch(r"\d\d:\d\d:\d\d", (await stream.receive()).data)


@check(TUTORIAL, "page")
@check(TUTORIAL, "chat-page")
async def page(sample: Sample) -> None:
    async with sample.client() as client:
        response = await client.get("/")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert 'new EventSource("/api/clock")' in response.text


@check(TUTORIAL, "echo")
async def echo(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/api/ws/chat") as ws:
        assert await ws.receive() == "Welcome!"
        await ws.send("hello")
        assert await ws.receive() == "You said: hello"


@check(TUTORIAL, "chat")
async def chat(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/api/ws/chat") as one:
        async with client.websocket("/api/ws/chat") as two:
            assert await one.receive_json() == {"user": "server", "text": "Somebody joined."}
            await two.send_json({"user": "Ada", "text": "Hello"})
            assert await one.receive_json() == await two.receive_json() == {"user": "Ada", "text": "Hello"}
            await two.send("Hello")
            assert (await two.receive_json())["error"] is True
        assert await one.receive_json() == {"user": "server", "text": "Somebody left."}


@check(TUTORIAL, "say")
async def say(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/api/ws/chat") as ws:
        said = {"user": "curl", "text": "Hello"}
        assert (await client.post("/api/say", json=said)).json() == {"ok": True}
        assert await ws.receive_json() == said
        assert (await client.post("/api/say", json={"user": "curl"})).status == 400
        assert (await client.get("/api/say")).status == 405


@check(TUTORIAL, "tests")
def tests(sample: Sample) -> None:
    passes(sample, "tests/test_chat.py")


@check(TUTORIAL, "config")
def config(sample: Sample) -> None:
    settings = load_settings(sample.root, command="start", environ={})
    assert (settings.server.port, settings.limits.message) == (8000, 65536)


@check("docs/migration.md", "chat")
async def migration_chat(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/api/ws/chat") as one:
        await one.receive()
        async with client.websocket("/api/ws/chat"):
            assert (await one.receive_json())["message"].endswith(" joined!")
        assert (await one.receive_json())["message"].endswith(" left!")


@check("docs/migration.md", "sse")
async def migration_sse(sample: Sample) -> None:
    async with sample.client() as client, client.events("/api/sse") as stream:
        first = await stream.receive()
        assert (first.data, first.event, first.id, first.retry) == ("x", "a", "1", 100)
        assert [(await stream.receive()).data for _ in range(2)] == ["one", "two"]
        assert await stream.receive_json() == {"event": "this is data"}
