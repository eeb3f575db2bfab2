"""Longwave beside FastAPI and Starlette: mounted in them, they in it, and under servers of others."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.process import ServerProcess

LIVE = {
    "src/words.py": """
        word = "Longwave's"
    """,
    "src/server/plugins/life.py": """
        from collections.abc import AsyncIterator

        from longwave import define_plugin
        from longwave.assemble import App


        @define_plugin
        async def plugin(app: App) -> AsyncIterator[None]:
            print("the plugin began", flush=True)
            yield
            print("the plugin ended", flush=True)
    """,
    "src/server/routes/about.py": """
        from typing import Any

        from longwave import Event
        from src.words import word


        def get(event: Event) -> dict[str, Any]:
            return {"word": word, "path": event.path, "query": dict(event.query)}
    """,
    "src/server/routes/users/[id].py": """
        from typing import Any

        from longwave import Event


        async def post(event: Event) -> dict[str, Any]:
            return {"id": event.params["id"], "body": await event.json()}
    """,
    "src/server/routes/news.py": """
        from longwave import Event, EventStream, create_event_stream


        async def get(event: Event) -> EventStream:
            stream = create_event_stream(event)
            stream.subscribe("chat")
            return stream
    """,
    "src/server/routes/ws/chat.py": """
        from longwave import Message, Peer, define_websocket_handler

        handler = define_websocket_handler()


        @handler.open
        def join(peer: Peer) -> None:
            peer.subscribe("chat")
            peer.send({"namespace": peer.namespace, "path": peer.request.path})


        @handler.message
        def relay(peer: Peer, message: Message) -> None:
            peer.publish("chat", message, include_self=True)
    """,
}
"""A project with a module `src.words`, which the frameworks around it have as well."""

FASTAPI = """
    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager
    from pathlib import Path

    from fastapi import FastAPI

    from longwave import create_app
    from src.words import word

    live = create_app(Path(__file__).parent / "live")


    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with live.lifespan():
            yield


    app = FastAPI(lifespan=lifespan)
    app.mount("/live", live)


    @app.get("/word")
    def get_word() -> dict[str, str]:
        return {"word": word}


    @app.post("/say")
    async def say(text: str) -> dict[str, bool]:
        live.publish("chat", text)
        return {"ok": True}


    @app.post("/say-from-a-thread")
    def say_from_a_thread(text: str) -> dict[str, bool]:
        live.publish("chat", text)
        return {"ok": True}
"""

STARLETTE = """
    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    from longwave import create_app
    from src.words import word

    live = create_app(Path(__file__).parent / "live")


    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live.lifespan():
            yield


    def get_word(request: Request) -> JSONResponse:
        return JSONResponse({"word": word})


    async def say(request: Request) -> JSONResponse:
        live.publish("chat", request.query_params["text"])
        return JSONResponse({"ok": True})


    def say_from_a_thread(request: Request) -> JSONResponse:
        live.publish("chat", request.query_params["text"])
        return JSONResponse({"ok": True})


    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/word", get_word),
            Route("/say", say, methods=["POST"]),
            Route("/say-from-a-thread", say_from_a_thread, methods=["POST"]),
            Mount("/live", live),
        ],
    )
"""

ALONE = """
    from pathlib import Path

    from longwave import create_app

    app = create_app(Path(__file__).parent / "live")
"""

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


class Foreign(ServerProcess):
    """A server of others, run as `python -m`, from its first answer to its last process."""

    def __init__(self, folder: Path, server: str, *args: str) -> None:
        # The lock by which processes of one project know each other is in the folder for temporary files.
        super().__init__(folder, env={"PYTHONPATH": str(folder), "TMPDIR": str(folder)})
        self._argv = [sys.executable, "-m", server, "main:app"]
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        self._argv += address if server == "uvicorn" else ["--bind", f"127.0.0.1:{self.port}"]
        self._argv += args

    def stop(self, signum: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Stop it; uvicorn ends by the signal that it was sent, which is no failure."""
        code = super().stop(signum, within)
        return 0 if code == -signum else code

    def says(self, text: str, within: float = 10.0) -> bool:
        """Tell whether it prints a text, at the latest within some seconds."""
        deadline = time.monotonic() + within
        while text not in self.output and time.monotonic() < deadline:
            time.sleep(0.02)
        return text in self.output


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip())
    return folder


def around(folder: Path, main: str) -> Path:
    """Write a project of a framework, with a package `src` of its own, and ours in `live/`."""
    write(folder / "live", LIVE)
    words = 'word = "the framework\'s"\n'
    return write(folder, {"main.py": main, "src/__init__.py": "", "src/words.py": words})


@contextmanager
def websocket(server: ServerProcess, path: str, **options: Any) -> Iterator[ClientConnection]:
    with connect(server.websocket_url + path, compression=None, proxy=None, **options) as ws:
        yield ws


@contextmanager
def events(server: ServerProcess, path: str) -> Iterator[Iterator[str]]:
    """Open an event stream and give the data of its events."""
    with httpx.stream("GET", server.url + path, timeout=5.0) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))


def joined(ws: ClientConnection) -> Any:
    return json.loads(ws.recv(5))


# Longwave in a framework.


@pytest.fixture(scope="module", params=[FASTAPI, STARLETTE], ids=["fastapi", "starlette"])
def mounted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    folder = around(tmp_path_factory.mktemp("around"), request.param)
    with Foreign(folder, "uvicorn") as server:
        assert "the plugin began" in server.output
        yield server
        assert server.stop() == 0
        assert "the plugin ended" in server.output
        assert "do not share" not in server.output


def test_requests_below_the_mount(mounted: Foreign) -> None:
    with httpx.Client(base_url=mounted.url) as client:
        about = client.get("/live/about?a=1&b=%2F")
        # Paths are those below the mount, as the route files have them.
        assert about.json() == {"word": "Longwave's", "path": "/about", "query": {"a": "1", "b": "/"}}
        assert client.get("/word").json() == {"word": "the framework's"}
        user = client.post("/live/users/a%20b", json={"name": "Ada"})
        assert user.json() == {"id": "a b", "body": {"name": "Ada"}}
        missing = client.get("/live/nothing")
        assert (missing.status_code, missing.json()["error"]) == (404, True)
        assert client.get("/about").status_code == 404
        assert client.delete("/live/about").status_code == 405


def test_websockets_and_streams_share_a_topic(mounted: Foreign) -> None:
    with (
        websocket(mounted, "live/ws/chat") as one,
        websocket(mounted, "live/ws/chat") as two,
        events(mounted, "live/news") as news,
    ):
        assert joined(one) == joined(two) == {"namespace": "/ws/chat", "path": "/ws/chat"}
        one.send("hello")
        assert [one.recv(5), two.recv(5), next(news)] == ["hello"] * 3


@pytest.mark.parametrize("path", ["say", "say-from-a-thread"])
def test_the_framework_publishes(mounted: Foreign, path: str) -> None:
    with websocket(mounted, "live/ws/chat") as ws, events(mounted, "live/news") as news:
        joined(ws)
        for text in ("first", "second"):
            assert httpx.post(mounted.url + path, params={"text": text}).json() == {"ok": True}
        assert [ws.recv(5), ws.recv(5)] == ["first", "second"]
        assert [next(news), next(news)] == ["first", "second"]


def test_stop_closes_what_is_open_below_the_mount(tmp_path: Path) -> None:
    with Foreign(around(tmp_path, FASTAPI), "uvicorn") as server:
        with websocket(server, "live/ws/chat") as ws:
            joined(ws)
            assert server.stop() == 0
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)
        assert "the plugin ended" in server.output
        assert "Traceback" not in server.output


# A framework in Longwave.


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


# Servers of others.


def test_two_workers_of_uvicorn_are_told_that_they_share_nothing(tmp_path: Path) -> None:
    folder = write(write(tmp_path, {"main.py": ALONE}) / "live", LIVE).parent
    with Foreign(folder, "uvicorn", "--workers", "2", "--timeout-worker-healthcheck", "30") as server:
        assert server.says("do not share publications")
        assert str(folder / "live") in server.output
        assert server.output.count("do not share publications") == 1
        assert httpx.get(f"{server.url}about").json()["word"] == "Longwave's"


def test_hypercorn(tmp_path: Path) -> None:
    folder = write(write(tmp_path, {"main.py": ALONE}) / "live", LIVE).parent
    with Foreign(folder, "hypercorn") as server:
        assert httpx.get(f"{server.url}about").json()["path"] == "/about"
        assert httpx.get(f"{server.url}nothing").status_code == 404
        with websocket(server, "ws/chat") as ws, events(server, "news") as news:
            assert joined(ws) == {"namespace": "/ws/chat", "path": "/ws/chat"}
            ws.send("hello")
            assert [ws.recv(5), next(news)] == ["hello"] * 2
        assert server.stop() == 0
        assert "the plugin ended" in server.output
