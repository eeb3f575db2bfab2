from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi import Request as FastAPIRequest
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, StreamingResponse

from longwave.errors import LongwaveError
from longwave.limits import Limits
from longwave.testing import ConnectionClosed, RefusedError, TestClient
from longwave.web.mount import AsgiMount, mount_asgi
from tests.asgi.driver import asynchronous, turns


def make_app(log: list[Any]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        log.append("startup")
        yield {"answer": 42}
        log.append("shutdown")

    app = FastAPI(lifespan=lifespan)

    @app.get("/items/{number}")
    async def item(number: int, request: FastAPIRequest, q: str = "") -> dict[str, Any]:
        return {"number": number, "q": q, "url": str(request.url), "answer": request.state.answer}

    @app.post("/echo")
    async def echo(request: FastAPIRequest) -> Any:
        return JSONResponse({"size": len(await request.body())}, 201, {"X-One": "1"})

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"part %d;" % number
            log.append("produced")

        return StreamingResponse(parts(), headers={"x-kind": "stream"})

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"data: tick\n\n"
                    await asyncio.sleep(0)
                    await asyncio.Event().wait()
            finally:
                log.append("stopped")

        return StreamingResponse(parts(), media_type="text/event-stream")

    @app.get("/background")
    async def background() -> JSONResponse:
        async def later() -> None:
            await turns()
            log.append("done in the background")

        return JSONResponse({}, background=BackgroundTask(later))

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError("broken")

    @app.websocket("/ws/{room}")
    async def socket(websocket: WebSocket, room: str) -> None:
        if room == "closed":
            await websocket.close(1008)
            return
        if room == "denied":
            raise HTTPException(401, "who are you?")
        await websocket.accept("chat.v1" if "chat.v1" in websocket.scope["subprotocols"] else None)
        await websocket.send_text(f"welcome to {room}")
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    log.append((message["code"], message["reason"]))
                    return
                if message.get("text") == "bye":
                    await websocket.close(4001, "enough")
                    return
                if message.get("text") == "return":
                    return
                if message.get("text") == "fail":
                    raise RuntimeError("broken")
                await websocket.send(
                    {"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")}
                )
        except WebSocketDisconnect:
            log.append("disconnect")

    return app


@asynccontextmanager
async def mounted(prefix: str = "/api", **options: Any) -> AsyncIterator[tuple[TestClient, list[Any]]]:
    log: list[Any] = []
    async with TestClient(mount_asgi(make_app(log), prefix), **options) as client:
        yield client, log


@asynchronous
async def test_lifespan_and_state() -> None:
    async with mounted() as (client, log):
        assert log == ["startup"]
        assert (await client.get("/api/items/7")).json()["answer"] == 42
    assert log == ["startup", "shutdown"]


@pytest.mark.parametrize("prefix", ["", "/api", "/api/", "/deep/er"])
@asynchronous
async def test_paths(prefix: str) -> None:
    async with mounted(prefix) as (client, _):
        path = f"{prefix.rstrip('/')}/items/7"
        answer = (await client.get(path, params={"q": "x y"})).json()
        assert answer == {"number": 7, "q": "x y", "url": f"http://testserver{path}?q=x+y", "answer": 42}
        assert (await client.get(f"{prefix.rstrip('/')}/nothing")).status == 404


@asynchronous
async def test_prefix_of_the_route() -> None:
    log: list[Any] = []
    mount = AsgiMount(make_app(log))

    class Routed:
        startup, shutdown = mount.startup, mount.shutdown

        def handle(self, request: Any) -> Any:
            return mount.handle(request, "/from/route")

    async with TestClient(Routed()) as client:
        assert (await client.get("/from/route/items/7")).status == 200


@asynchronous
async def test_bodies_and_status() -> None:
    async with mounted() as (client, _):
        response = await client.post("/api/echo", content=b"x" * 100_000)
        assert (response.status, response.json(), response.headers["x-one"]) == (201, {"size": 100_000}, "1")
        assert (await client.post("/api/echo")).json() == {"size": 0}
        assert (await client.head("/api/stream")).status == 405


@asynchronous
async def test_body_too_big() -> None:
    async with mounted(limits=Limits(body=10)) as (client, _):
        assert (await client.post("/api/echo", content=b"x" * 11)).status == 413


@asynchronous
async def test_stream_that_ends() -> None:
    async with mounted() as (client, log):
        response = await client.get("/api/stream")
        assert (response.text, response.headers["x-kind"]) == ("part 0;part 1;part 2;", "stream")
        assert log == ["startup", "produced"]


@asynchronous
async def test_client_that_leaves_a_stream_is_noticed() -> None:
    async with mounted() as (client, log):
        with pytest.raises(TimeoutError, match="12 bytes came"):
            await client.get("/api/endless", timeout=0.05)
        await turns()
        assert log == ["startup", "stopped"]


@asynchronous
async def test_background_tasks_run_to_their_end() -> None:
    async with mounted() as (client, log):
        assert (await client.get("/api/background")).status == 200
        assert log == ["startup"]
    assert log == ["startup", "done in the background", "shutdown"]


@asynchronous
async def test_errors(caplog: pytest.LogCaptureFixture) -> None:
    async with mounted() as (client, _):
        response = await client.get("/api/fail")
        assert (response.status, response.text) == (500, "Internal Server Error")
        assert (await client.get("/api/%ff")).status == 400
    (record,) = caplog.records
    assert record.getMessage() == "the mounted application (http /api/fail) failed: broken"


@asynchronous
async def test_websocket() -> None:
    async with mounted() as (client, log):
        async with client.websocket("/api/ws/blue", protocols=("chat.v1",)) as ws:
            assert ws.protocol == "chat.v1"
            assert await ws.receive() == "welcome to blue"
            for number in range(100):
                await ws.send(str(number))
                await ws.send(b"%d" % number)
            for number in range(100):
                assert await ws.receive() == str(number)
                assert await ws.receive() == b"%d" % number
            await ws.close(4000, "bye")
        assert log == ["startup", (4000, "bye")]


@pytest.mark.parametrize(
    ("message", "code", "reason"), [("bye", 4001, "enough"), ("return", 1000, ""), ("fail", 1011, "")]
)
@asynchronous
async def test_websocket_that_the_application_ends(
    message: str, code: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with mounted() as (client, _):
        async with client.websocket("/api/ws/blue") as ws:
            await ws.receive()
            await ws.send(message)
            with pytest.raises(ConnectionClosed):
                await ws.receive()
            assert (ws.close_code, ws.close_reason) == (code, reason)
    assert len(caplog.records) == (message == "fail")


@pytest.mark.parametrize(("room", "status"), [("closed", 403), ("denied", 401)])
@asynchronous
async def test_websocket_that_is_refused(room: str, status: int) -> None:
    async with mounted() as (client, _):
        with pytest.raises(RefusedError) as refused:
            async with client.websocket(f"/api/ws/{room}"):
                pass
        assert refused.value.response.status == status


@asynchronous
async def test_messages_wait_for_an_application_that_does_not_read() -> None:
    go = asyncio.Event()

    async def lazy(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go.wait()
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "read"})

    async with TestClient(mount_asgi(lazy)) as client:
        async with client.websocket("/", timeout=0.05) as ws:
            for _ in range(16):
                await ws.send("x")
            with pytest.raises(TimeoutError, match="read no message"):
                await ws.send("one too many")
            go.set()
            for _ in range(17):
                assert await ws.receive() == "read"


@asynchronous
async def test_disconnect_comes_when_the_answer_is_complete() -> None:
    heard: list[str] = []

    async def curious(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        heard.extend([(await receive())["type"], (await receive())["type"]])

    async with TestClient(mount_asgi(curious)) as client:
        await client.get("/")
        await turns()
    assert heard == ["http.request", "http.disconnect"]


@asynchronous
async def test_application_that_does_not_hear_of_the_end_is_stopped_at_shutdown() -> None:
    ended: list[str] = []

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async with TestClient(mount_asgi(deaf, grace=0.01)) as client:
        assert (await client.get("/")).status == 200
        assert ended == []
    assert ended == ["cancelled"]


@pytest.mark.parametrize("order", ["startup", "shutdown"])
@asynchronous
async def test_lifespan_that_fails(order: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            kind = (await receive())["type"]
            outcome = "failed" if kind == f"lifespan.{order}" else "complete"
            await send({"type": f"{kind}.{outcome}", "message": "no database"})
            if kind == f"lifespan.{order}":
                return

    mount = mount_asgi(app)
    if order == "shutdown":
        await mount.startup()
    with pytest.raises(LongwaveError, match=f"failed at {order}: no database"):
        await getattr(mount, order)()


@asynchronous
async def test_application_that_answers_nothing() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async with TestClient(mount_asgi(silent)) as client:
        assert (await client.get("/")).status == 500


@asynchronous
async def test_application_that_stops_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with TestClient(mount_asgi(half)) as client:
        with pytest.raises(ConnectionError, match="cut the response"):
            await client.get("/")


@asynchronous
async def test_client_that_goes_before_the_reply() -> None:
    heard: list[str] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await receive()
        heard.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"nobody", "more_body": False})
        except OSError:
            heard.append("OSError")

    async with TestClient(mount_asgi(slow)) as client:
        with pytest.raises(TimeoutError):
            await client.get("/", timeout=0.01)
        await turns()
    assert heard == ["http.disconnect", "OSError"]


@asynchronous
async def test_websocket_client_that_goes_before_accept() -> None:
    heard: list[Any] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        heard.append((await receive())["type"])
        heard.append((await receive())["code"])
        try:
            await send({"type": "websocket.accept"})
        except OSError:
            heard.append("OSError")

    async with TestClient(mount_asgi(slow)) as client:
        with pytest.raises(TimeoutError):
            async with client.websocket("/", timeout=0.01):
                pass
        await turns()
    assert heard == ["websocket.connect", 1006, "OSError"]


START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([BODY], 500),
        ([START, START], 500),
        ([{"type": "websocket.accept"}], 500),
        ([START, BODY, BODY], 200),
    ],
)
@asynchronous
async def test_application_that_breaks_http(
    messages: list[Any], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        for message in messages:
            await send(message)

    async with TestClient(mount_asgi(wrong)) as client:
        assert (await client.get("/")).status == status
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([START], 500),
        ([{"type": "websocket.send", "text": "too soon"}], 500),
        ([{"type": "websocket.accept"}, {"type": "websocket.accept"}], None),
        ([{"type": "websocket.accept"}, {"type": "websocket.close"}, {"type": "websocket.close"}], None),
    ],
)
@asynchronous
async def test_application_that_breaks_websocket(
    messages: list[Any], status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        for message in messages:
            await send(message)

    async with TestClient(mount_asgi(wrong)) as client:
        if status is None:
            async with client.websocket("/") as ws:
                await ws.wait_closed()
        else:
            with pytest.raises(RefusedError, match=str(status)):
                async with client.websocket("/"):
                    pass
    assert len(caplog.records) == 1


@asynchronous
async def test_application_waits_for_a_slow_client() -> None:
    sent: list[int] = []

    async def fast(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(100):
            await send({"type": "websocket.send", "bytes": b"x" * 10_000})
            sent.append(number)

    async with TestClient(mount_asgi(fast)) as client:
        async with client.websocket("/") as ws:
            await turns()
            assert len(sent) == 6
            for _ in range(100):
                assert len(await ws.receive()) == 10_000
        assert len(sent) == 100


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("example.com:8080", ("example.com", 8080)),
        ("example.com", ("example.com", 80)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::1]", ("::1", 80)),
    ],
)
@asynchronous
async def test_server_of_the_scope(host: str, server: Any) -> None:
    scopes: list[Any] = []

    async def keep(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    async with TestClient(mount_asgi(keep), host=host) as client:
        await client.get("/")
    assert scopes[-1]["server"] == server


def test_prefix_begins_with_a_slash() -> None:
    with pytest.raises(ValueError, match="/api, not api"):
        mount_asgi(make_app([]), "api")
