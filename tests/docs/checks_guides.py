"""Checks of the how-to guides and the topics."""

from __future__ import annotations

import importlib.util

import pytest

from longwave import Event, Peer, define_websocket_handler, mount_asgi
from longwave.testing import RefusedError, TestClient
from tests.dev.project import running
from tests.docs.registry import check, passes
from tests.docs.samples import Sample
from tests.web.upstreams import serving

AUTH = "docs/how-to/authentication.md"


async def refusal(client: TestClient, path: str, **options: object) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        async with client.websocket(path, **options):  # type: ignore[arg-type]
            pass
    return refused.value


@check(AUTH, "cookie")
async def cookie(sample: Sample) -> None:
    async with sample.client(scheme="https") as client:
        error = await refusal(client, "/ws/private")
        assert error.response.json() == {"error": True, "status": 401, "message": "log in first"}
        assert (await client.post("/login", form={"password": "123"})).status == 403
        assert (await client.post("/login", form={"password": "correct horse"})).status == 204
        async with client.websocket("/ws/private") as ws:
            assert await ws.receive() == "Hello, Ada."
        foreign = await refusal(client, "/ws/private", headers={"origin": "https://evil.example"})
        assert foreign.response.status == 403


@check(AUTH, "token")
async def token(sample: Sample) -> None:
    async with sample.client() as client:
        for path in ("/ws/prices", "/ws/prices?token=wrong"):
            response = (await refusal(client, path)).response
            assert (response.status, response.headers["www-authenticate"]) == (401, "Bearer")
            assert response.text == "a token, please"
        async with client.websocket("/ws/prices?token=t0ken") as ws:
            assert await ws.receive() == "Hello, robot."
        async with client.websocket("/ws/prices", headers={"authorization": "Bearer t0ken"}) as ws:
            assert await ws.receive() == "Hello, robot."
        assert (await client.get("/api/prices", headers={"accept": "text/event-stream"})).status == 401
        async with client.events("/api/prices?token=t0ken") as stream:
            sample_app = client.app
            sample_app.publish("prices", 7)  # type: ignore[attr-defined]
            assert (await stream.receive()).data == "7"


@check(AUTH, "subprotocol")
async def subprotocol(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await refusal(client, "/ws/notes")).response.status == 401
        assert (await refusal(client, "/ws/notes", protocols=["notes.v1", "token.no"])).response.status == 401
        async with client.websocket("/ws/notes", protocols=["notes.v1", "token.t0ken"]) as ws:
            assert ws.protocol == "notes.v1"
            assert await ws.receive() == "Hello, Ada. We speak notes.v1."


@check(AUTH, "middleware")
async def middleware(sample: Sample) -> None:
    async with sample.client() as client:
        for path in ("/admin", "/admin/", "/x/../admin", "/%61dmin", "/admin/nothing"):
            assert (await client.get(path)).status == 401, path
        assert (await refusal(client, "/admin")).response.status == 401
        with_token = await client.get("/admin", headers={"authorization": "Bearer t0ken"})
        assert with_token.text == "the keys of the house"


PUBLISH = "docs/how-to/publish.md"


@check(PUBLISH, "http")
async def publish_http(sample: Sample) -> None:
    async with (
        sample.client() as client,
        client.events("/api/news") as stream,
        client.websocket("/ws/news") as ws,
    ):
        assert (await client.post("/api/news", json={"a": 1})).json() == {"ok": True}
        assert await stream.receive_json() == await ws.receive_json() == {"a": 1}


@check(PUBLISH, "anywhere")
async def publish_anywhere(sample: Sample) -> None:
    async with sample.client() as client, client.events("/api/news") as stream:
        assert (await client.post("/api/buy?item=kettle")).status == 204
        assert await stream.receive_json() == {"sold": "kettle"}


@check(PUBLISH, "thread")
async def publish_thread(sample: Sample) -> None:
    async with sample.client() as client, client.events("/api/news") as stream:
        assert (await client.post("/api/report")).ok
        assert (await stream.receive()).data == "the report is there"


@check(PUBLISH, "job")
async def publish_job(sample: Sample) -> None:
    async with sample.client() as client, client.events("/api/news") as stream:
        first = (await stream.receive_json())["tick"]
        assert (await stream.receive_json()) == {"tick": first + 1}


@check(PUBLISH, "namespace")
async def publish_namespace(sample: Sample) -> None:
    (sample.root / "src/server/plugins/ticker.py").unlink()
    (sample.root / "src/server/routes/ws/other.py").write_text(
        (sample.root / "src/server/routes/ws/news.py").read_text()
    )
    async with (
        sample.client() as client,
        client.websocket("/ws/other") as other,
        client.websocket("/ws/news") as ws,
    ):
        assert (await client.post("/api/alert")).status == 204
        assert await ws.receive() == "for WebSockets of /ws/news"
        with pytest.raises(TimeoutError):
            await other.receive(timeout=0.05)


LLM = "docs/how-to/llm-stream.md"


@check(LLM, "get")
async def llm_get(sample: Sample) -> None:
    async with sample.client() as client:
        async with client.events("/api/complete?prompt=whales") as stream:
            events = [event async for event in stream]
            assert "".join(event.data for event in events) == "You asked about whales."
            assert (events[-1].event, events[-1].id) == ("longwave:end", stream.last_event_id)
            last = stream.last_event_id
        again = await client.get("/api/complete?prompt=whales", headers={"last-event-id": last})
        assert again.status == 204
        missing = await client.get("/api/complete", headers={"accept": "text/event-stream"})
        assert missing.status == 400 and "prompt" in missing.json()["message"]


@check(LLM, "post")
async def llm_post(sample: Sample) -> None:
    async with sample.client() as client:
        async with client.events("/api/chat", method="POST", json={"text": "whales"}) as stream:
            assert await stream.receive_json() == {"delta": "You"}
        assert (await client.post("/api/chat", json={"txt": "whales"})).status == 400


@check(LLM, "steps")
async def llm_steps(sample: Sample) -> None:
    async with sample.client() as client, client.events("/api/steps") as stream:
        first, second = await stream.receive(), await stream.receive()
        assert (first.event, first.id, first.json()) == ("step", "1", {"tool": "search"})
        assert (second.event, second.id, second.data) == ("text", "2", "and here is the answer")


LISTS = "docs/how-to/live-lists.md"


@check(LISTS, "todos")
async def lists(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await client.post("/api/todos", json={"text": "one"})).status == 201
        async with client.events("/api/todos/live") as stream:
            event = await stream.receive()
            assert (event.event, event.json()) == ("all", [{"id": 1, "text": "one"}])
            await client.post("/api/todos", json={"text": "two"})
            event = await stream.receive()
            assert (event.event, event.json()) == ("added", {"id": 2, "text": "two"})
        assert [todo["id"] for todo in (await client.get("/api/todos")).json()] == [1, 2]


@check(LISTS, "websocket")
async def lists_websocket(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/ws/todos") as ws:
        assert await ws.receive_json() == {"all": []}
        await client.post("/api/todos", json={"text": "one"})
        assert await ws.receive_json() == {"id": 1, "text": "one"}


FASTAPI = "docs/how-to/fastapi.md"


@check(FASTAPI, "in-fastapi")
async def in_fastapi(sample: Sample) -> None:
    spec = importlib.util.spec_from_file_location("longwave_docs_main", sample.root / "main.py")
    assert spec is not None and spec.loader is not None
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)
    # A mount is what serves a foreign application in process, whatever that application mounts itself.
    async with TestClient(mount_asgi(main.app)) as client, client.websocket("/live/ws/chat") as ws:
        await ws.send("hello")
        assert await ws.receive() == "hello"
        assert (await client.post("/say", params={"text": "from FastAPI"})).json() == {"ok": True}
        assert await ws.receive() == "from FastAPI"


@check(FASTAPI, "inside")
async def inside(sample: Sample) -> None:
    async with sample.client() as client, client.events("/seen") as stream:
        assert (await client.get("/shop/items/7")).json() == {"number": 7}
        assert await stream.receive_json() == {"seen": 7}
        assert "/shop/openapi.json" in (await client.get("/shop/docs")).text


@check("docs/how-to/testing.md", "pytest")
def testing(sample: Sample) -> None:
    passes(sample, "tests")


ERRORS = "docs/how-to/errors.md"


@check(ERRORS, "http")
async def errors_http(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await client.get("/items/1")).json() == {"item": "kettle"}
        document = {"error": True, "status": 404, "message": "no such item", "data": {"id": "2"}}
        assert (await client.get("/items/2")).json() == document


@check(ERRORS, "message")
async def errors_message(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/ws/orders") as ws:
        await ws.send_json({"item": "kettle", "count": "many"})
        assert "$.count" in (await ws.receive_json())["problem"]
        await ws.send_json({"item": "kettle", "count": 2})
        assert await ws.receive_json() == {"ordered": 2.0}
        await ws.send_json({"item": "kettle", "count": 1})
        assert await ws.wait_closed() == 1011


@check(ERRORS, "close")
async def errors_close(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/ws/room") as one:
        async with client.websocket("/ws/room") as two:
            await two.close(4002)
        assert await one.receive_json() == {"left": 4002}
        async with client.websocket("/ws/room") as two:
            await two.abort()
        assert await one.receive_json() == {"left": 1006}


@check("docs/how-to/deploy.md", "asgi")
async def deploy(sample: Sample) -> None:
    (sample.root / "src/server/routes").mkdir(parents=True)
    (sample.root / "src/server/routes/index.py").write_text("def get():\n    return 'served'\n")
    spec = importlib.util.spec_from_file_location("longwave_docs_my_app", sample.root / "my_app.py")
    assert spec is not None and spec.loader is not None
    my_app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(my_app)
    async with TestClient(mount_asgi(my_app.app)) as client:
        assert (await client.get("/")).text == "served"


@check("docs/topics/dev-server.md", "on-reload")
async def on_reload(sample: Sample) -> None:
    name = "src/server/routes/ws/votes.py"
    text = (sample.root / name).read_text()
    async with running(sample.root, {}) as project, project.client.websocket("/ws/votes") as ws:
        await ws.send("tea")
        assert await ws.receive_json() == {"tea": 1}
        news = await project.edit({name: text.replace("message.text()", "message.text().upper()")})
        assert news.kept == 1
        await ws.send("tea")
        assert await ws.receive_json() == {"tea": 1, "TEA": 1}


@check("docs/topics/keepalive.md", "ping")
async def ping(sample: Sample) -> None:
    """What the page does with it is tested in tests/e2e/test_keepalive_page.py."""
    async with sample.client() as client, client.websocket("/ws/live") as ws:
        await ws.send("ping")
        assert await ws.receive() == "pong"
        await ws.send("Hello")
        assert await ws.receive() == "You said: Hello"


@check("docs/topics/backpressure.md", "numbers")
async def numbers(sample: Sample) -> None:
    async with sample.client() as client, client.websocket("/ws/numbers") as ws:
        assert [await ws.receive() for _ in range(1000)] == list(map(str, range(1000)))


PROXY = "docs/how-to/proxy.md"


def point_to(sample: Sample, route: str, port: int) -> None:
    """Let a route of the page ask a port of this test."""
    path = sample.root / "src/server/routes" / route
    path.write_text(path.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}"))


@check(PROXY, "http")
async def proxy_http(sample: Sample) -> None:
    async def back_end(event: Event) -> str:
        return f"{event.request.target.decode()} for {event.headers['x-forwarded-host']}"

    async with serving({"/[...path]": back_end}) as back:
        point_to(sample, "shop/[...path].py", back.port)
        async with sample.client() as client:
            response = await client.get("/shop/a/../items?page=2")
            assert response.text == "/shop/items?page=2 for testserver"
            assert (await client.get("/shop/..%2fadmin")).status == 400
    # Nothing is at the port any more.
    point_to(sample, "weather.py", back.port)
    async with sample.client() as client:
        assert (await client.get("/weather")).json() == {"weather": "unknown"}
        assert (await client.get("/shop/items")).status == 502


@check(PROXY, "websocket")
async def proxy_websocket(sample: Sample) -> None:
    handler = define_websocket_handler()

    @handler.open
    def welcome(peer: Peer) -> None:
        peer.send(f"{peer.request.path} for {peer.request.headers['x-user']}")

    async with serving({"/live": handler}) as back:
        point_to(sample, "live.py", back.port)
        async with sample.client() as client:
            assert (await refusal(client, "/live")).response.status == 401
            async with client.websocket("/live", headers={"cookie": "user=ada"}) as ws:
                assert await ws.receive() == "/live for ada"


@check("docs/how-to/vite.md", "behind")
async def vite(sample: Sample) -> None:
    page = sample.root / "web" / "dist" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("<h1>front</h1>")
    async with sample.client() as client:
        assert (await client.get("/api/hello")).json() == {"hello": "from Python"}
        assert (await client.get("/")).text == "<h1>front</h1>"
