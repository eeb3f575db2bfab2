"""Checks of the reference."""

from __future__ import annotations

import re

from longwave.config import load_settings
from tests.docs.registry import check
from tests.docs.samples import Sample

HANDLERS = "docs/reference/handlers.md"


@check(HANDLERS, "websocket")
async def websocket(sample: Sample) -> None:
    async with sample.client() as client:
        for form in ("decorators", "keywords", "class"):
            async with client.websocket(f"/{form}", protocols=["other", "echo.v1"]) as ws:
                assert ws.protocol == "echo.v1"
                await ws.send(b"\x00")
                assert await ws.receive() == b"\x00"


@check(HANDLERS, "blocking")
async def blocking(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await client.get("/slow")).text == "done"


@check(HANDLERS, "middleware")
async def middleware(sample: Sample) -> None:
    async with sample.client() as client:
        response = await client.get("/slow")
        assert re.fullmatch(r"app;dur=\d+\.\d", response.headers["server-timing"])
        async with client.websocket("/keywords") as ws:
            assert ws.headers["server-timing"].startswith("app;dur=")


@check(HANDLERS, "plugin")
async def plugin(sample: Sample) -> None:
    async with sample.client() as client:
        state = client.app.state  # type: ignore[attr-defined]
        assert state == {"database": {"open": True}}
    assert state == {"database": {"open": False}}


@check("docs/reference/config.md", "proxy")
def proxy(sample: Sample) -> None:
    first, second, third = load_settings(sample.root, command="dev", environ={}).server.proxy
    assert first.matches("/shop?x") and not first.matches("/shopping")
    assert second.rewrite is not None and second.rewrite("/old/x") == "/x"
    assert third.takes_upgrades and third.matches("/socket.io/") and not second.takes_upgrades


@check("docs/reference/peer.md", "peer")
async def peer(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/ws") as ws, client.websocket("/ws"):
        assert await ws.receive_json() == await ws.receive_json() == {"seconds": "go by"}
        await ws.send("one")
        while (answer := await ws.receive_json()) == {"seconds": "go by"}:
            pass
        assert answer == {"count": 1, "others": 1}
        await ws.send("enough")
        assert await ws.wait_closed() == 4000


@check("docs/reference/message.md", "message")
async def message(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/ws") as ws:
        for sent, answer in ((b"abc", "3 bytes"), ("[1, 2]", "3")):
            await ws.send(sent)
            assert await ws.receive() == answer
        await ws.send('[1, "x"]')
        assert "$[1]" in str(await ws.receive())


@check("docs/reference/event.md", "event")
async def event(sample: Sample) -> None:
    async with sample.client() as client:
        response = await client.post("/orders/north", json={"item": "kettle"})
        assert response.json() == {"shop": "north", "item": "kettle", "count": 1}
        response = await client.post("/orders/north", json={"item": "kettle", "count": "x"})
        assert response.status == 400 and "$.count" in response.json()["message"]
        response = await client.get("/orders/x?item=a&more=b&more=c", headers={"accept-language": "cy"})
        assert response.json() == ["a", "b", "c", "cy"]
        assert (await client.get("/orders/x")).status == 400
        body = (
            b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nSea\r\n'
            b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n'
            b"Content-Type: image/png\r\n\r\nabc\r\n--x--\r\n"
        )
        headers = {"content-type": "multipart/form-data; boundary=x"}
        response = await client.post("/upload", content=body, headers=headers)
        assert response.json() == {"title": "Sea", "type": "image/png", "size": 3}
        assert (await client.post("/upload", json={})).status == 415
        assert (await client.post("/size", content=b"x" * 100_000)).text == "100000"


RESPONSE = "docs/reference/response.md"


@check(RESPONSE, "response")
async def response(sample: Sample) -> None:
    async with sample.client() as client:
        page = await client.get("/page")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert (page.headers["cache-control"], page.cookies) == ("no-store", {"seen": "1"})
        old = await client.get("/old")
        assert (old.status, old.headers["location"]) == (301, "/page")
        export = await client.get("/export")
        assert (export.headers["content-type"], export.text) == ("text/csv; charset=utf-8", "0,0\n1,1\n2,4\n")
        assert (await client.head("/page")).content == b""
        assert (await client.options("/page")).headers["allow"] == "GET, HEAD, OPTIONS"
        assert (await client.delete("/page")).status == 405


@check(RESPONSE, "staged")
async def staged(sample: Sample) -> None:
    async with sample.client() as client:
        created = await client.post("/items")
        assert (created.status, created.headers["location"], created.json()) == (201, "/items/7", {"id": 7})


@check("docs/reference/event-stream.md", "stream")
async def stream(sample: Sample) -> None:
    async with sample.client() as client:
        async with client.events("/api/orders", last_event_id="0") as events:
            first = await events.receive()
            assert (first.event, first.id, first.retry, first.json()) == ("hello", "1", 3000, {"since": "0"})
            client.app.publish("orders", {"id": 7})  # type: ignore[attr-defined]
            second = await events.receive()
            assert (second.event, second.json()) == ("order", {"id": 7})
            assert events.headers["x-accel-buffering"] == "no"
            assert events.headers["content-type"] == "text/event-stream; charset=utf-8"


ROUTES = "docs/reference/routes.md"


@check(ROUTES, "room")
async def room(sample: Sample) -> None:
    async with sample.client() as client:
        async with client.websocket("/rooms/1") as one, client.websocket("/rooms/2") as two:
            assert (await client.get("/rooms/1")).json() == {"room": "1"}
            assert (await client.delete("/rooms/1")).status == 204
            assert await one.receive() == "the room is closed"
            assert (await client.delete("/rooms/2")).status == 204
            assert await two.receive() == "the room is closed"
        assert (await client.post("/rooms/1")).status == 405


@check(ROUTES, "modules")
async def modules(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await client.get("/shout?text=hi")).text == "HI!"


CONFIG = "docs/reference/config.md"


@check(CONFIG, "values")
def values(sample: Sample) -> None:
    settings = load_settings(sample.root, command="start", environ={})
    assert (settings.server.port, settings.limits.message) == (8000, 65536)
    assert settings.security.origins == ("https://app.example.com", "*.example.org")


@check(CONFIG, "function")
def function(sample: Sample) -> None:
    settings = load_settings(sample.root, command="dev", mode="staging", environ={})
    assert (settings.server.port, settings.log.access) == (3000, True)
    settings = load_settings(sample.root, command="start", environ={})
    assert (settings.server.port, settings.log.access) == (8000, False)
