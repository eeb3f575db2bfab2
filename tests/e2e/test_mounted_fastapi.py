"""FastAPI mounted in Longwave."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.foreign import websocket, write
from tests.e2e.process import ServerProcess

ADMIN = {
    "src/server/routes/index.py": """
        def get() -> str:
            return "Longwave"
    """,
    "src/server/routes/admin/[...path].py": """
        from collections.abc import AsyncIterator
        from contextlib import asynccontextmanager
        from typing import Any

        from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
        from fastapi.responses import StreamingResponse
        from pydantic import BaseModel

        from longwave import mount_asgi


        class Item(BaseModel):
            name: str
            price: float


        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
            print("FastAPI began", flush=True)
            yield {"database": "is open"}
            print("FastAPI ended", flush=True)


        api = FastAPI(lifespan=lifespan)


        @api.get("/items/{number}")
        async def item(request: Request, number: int, detail: str = "") -> dict[str, Any]:
            return {
                "number": number,
                "detail": detail,
                "url": str(request.url_for("item", number=number)),
                "database": request.state.database,
            }


        @api.post("/items", status_code=201)
        def add(item: Item) -> Item:
            return item


        @api.post("/size")
        async def size(request: Request) -> int:
            total = 0
            async for chunk in request.stream():
                total += len(chunk)
            return total


        @api.get("/numbers")
        def numbers() -> StreamingResponse:
            async def lines() -> AsyncIterator[str]:
                for number in range(1000):
                    yield f"{number}\\n"

            return StreamingResponse(lines(), media_type="text/plain")


        @api.get("/fail")
        async def fail() -> None:
            raise RuntimeError("out of order")


        @api.websocket("/echo")
        async def echo(websocket: WebSocket) -> None:
            if websocket.query_params.get("who") is None:
                await websocket.close(4001)
                return
            await websocket.accept("v1" if "v1" in websocket.scope["subprotocols"] else None)
            try:
                while True:
                    text = await websocket.receive_text()
                    if text == "bye":
                        await websocket.close(4000, "as you said")
                        return
                    await websocket.send_text(text.upper())
            except WebSocketDisconnect as gone:
                print("FastAPI heard", gone.code, flush=True)


        handler = mount_asgi(api)
    """,
}


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(write(tmp_path_factory.mktemp("admin"), ADMIN)) as server:
        assert "FastAPI began" in server.output
        yield server
        assert server.stop() == 0
        assert "FastAPI ended" in server.output


def test_requests_of_a_mounted_fastapi(admin: ServerProcess) -> None:
    with httpx.Client(base_url=admin.url) as client:
        assert client.get("/").text == "Longwave"
        assert client.get("/admin/items/7?detail=a%26b").json() == {
            "number": 7,
            "detail": "a&b",
            "url": f"{admin.url}admin/items/7",
            "database": "is open",
        }
        added = client.post("/admin/items", json={"name": "kettle", "price": 9.5})
        assert (added.status_code, added.json()) == (201, {"name": "kettle", "price": 9.5})
        assert client.post("/admin/items", json={"name": "kettle"}).status_code == 422
        assert client.get("/admin/nothing").json() == {"detail": "Not Found"}
        assert client.put("/admin/items/7").status_code == 405
        assert client.head("/admin/numbers").status_code == 405


def test_bodies_of_a_mounted_fastapi(admin: ServerProcess) -> None:
    with httpx.Client(base_url=admin.url) as client:
        assert client.post("/admin/size", content=b"x" * 300_000).json() == 300_000
        # Of unknown length: chunked.
        assert client.post("/admin/size", content=(b"x" * 1000 for _ in range(300))).json() == 300_000
        with client.stream("GET", "/admin/numbers") as response:
            assert response.headers["transfer-encoding"] == "chunked"
            assert list(response.iter_lines()) == [str(number) for number in range(1000)]


def test_docs_of_a_mounted_fastapi(admin: ServerProcess) -> None:
    with httpx.Client(base_url=admin.url) as client:
        page = client.get("/admin/docs")
        assert page.status_code == 200
        assert "'/admin/openapi.json'" in page.text
        schema = client.get("/admin/openapi.json").json()
        assert schema["servers"] == [{"url": "/admin"}]
        assert "/items/{number}" in schema["paths"]
        redirected = client.get("/admin/docs/")
        assert (redirected.status_code, redirected.headers["location"]) == (307, f"{admin.url}admin/docs")


def test_error_of_a_mounted_fastapi(admin: ServerProcess) -> None:
    before = admin.output.count("RuntimeError: out of order")
    with httpx.Client(base_url=admin.url) as client:
        answer = client.get("/admin/fail")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert client.get("/admin/items/1").status_code == 200
    assert admin.output.count("RuntimeError: out of order") == before + 1


def test_websocket_of_a_mounted_fastapi(admin: ServerProcess) -> None:
    with websocket(admin, "admin/echo?who=me", subprotocols=["v0", "v1"]) as ws:
        assert ws.subprotocol == "v1"
        for text in ("one", "two" * 1000):
            ws.send(text)
            assert ws.recv(5) == text.upper()
        ws.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(5)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "as you said")
    with websocket(admin, "admin/echo?who=me") as ws:
        ws.close(4321)
    deadline = time.monotonic() + 5
    while "FastAPI heard 4321" not in admin.output and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "FastAPI heard 4321" in admin.output


def test_refused_websocket_of_a_mounted_fastapi(admin: ServerProcess) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert httpx.get(f"{admin.url}admin/echo", headers=upgrade).status_code == 403
