"""Longwave mounted in FastAPI and Starlette, and under servers of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.foreign import LIVE, Foreign, around, events, joined, websocket, write

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
