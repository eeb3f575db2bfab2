"""The inspector over sockets: on `longwave dev`, on `longwave start` with a token, and under uvicorn."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.e2e.probe import AsgiProbe
from tests.e2e.process import ServerProcess

TOKEN = "a token of the operator"
FILES = {
    "chat.py": """
from longwave import UpgradeResult, define_websocket_handler
handler = define_websocket_handler()
@handler.upgrade
def upgrade(event):
    return UpgradeResult(user={"name": "ann"}, namespace="hall")
@handler.open
def open(peer):
    peer.subscribe("room")
@handler.message
def message(peer, message):
    if message.text() == "boom":
        raise RuntimeError("it went wrong")
    peer.publish("room", message, include_self=True)
""",
    "events.py": """
from longwave import create_event_stream
async def get(event):
    stream = create_event_stream(event)
    stream.subscribe("room")
    await stream.push("hello")
    return stream
""",
    "changed.py": "def get(event):\n    return 'before'\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inspected")
    for name, text in FILES.items():
        path = root / "src/server/routes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(scope="module")
def dev(root: Path) -> Iterator[ServerProcess]:
    with ServerProcess(root, command="dev") as running:
        yield running


@pytest.fixture(scope="module")
def start(root: Path) -> Iterator[ServerProcess]:
    with ServerProcess(root, env={"LONGWAVE_INSPECTOR_TOKEN": TOKEN}) as running:
        yield running


class Page:
    """A page that looks, as its script would."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.came: list[dict[str, Any]] = []

    async def until(self, kind: str, holds: Callable[[dict[str, Any]], Any] = lambda message: True) -> Any:
        """Return the first message from now on that is of a type and for which something holds."""
        async with asyncio.timeout(15):
            while True:
                message = json.loads(await self.socket.recv())
                self.came.append(message)
                if message["type"] == kind and holds(message):
                    return message

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def ask(self, **message: Any) -> Any:
        """Send a message and return its answer."""
        await self.say(**message, to=7)
        return await self.until("answer", lambda answer: answer["to"] == 7)


def run(test: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(limited())


def inspector(server: ServerProcess, token: str = "", **options: Any) -> Any:
    url = f"{server.websocket_url}_longwave/inspector?token={token}"
    return connect(url, subprotocols=["longwave-inspector"], **options)  # type: ignore[list-item]


async def token_of(server: ServerProcess, **options: Any) -> str:
    async with httpx.AsyncClient() as client:
        page = await client.get(f"{server.url}_longwave/", **options)
    assert page.status_code == 200
    found = re.search('<meta name="longwave-token" content="([^"]+)">', page.text)
    assert found is not None
    return found[1]


async def refused(server: ServerProcess, token: str = "", **options: Any) -> int:
    with pytest.raises(InvalidStatus) as raised:
        async with inspector(server, token, **options):
            pass
    return raised.value.response.status_code


async def look_around(server: ServerProcess, page: Page) -> None:
    """See connections come, publish to them, and close one by hand."""
    await page.until(
        "hello", lambda hello: {"/chat", "/events"} <= {route["pattern"] for route in hello["routes"]}
    )
    await page.say(do="view", connections={"sort": "kind"}, topics={}, tail={"topic": "room"})
    async with (
        connect(f"{server.websocket_url}chat") as chat,
        httpx.AsyncClient() as client,
        client.stream("GET", f"{server.url}events") as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == "data: hello"
        await chat.send("héllo")
        assert await chat.recv() == "héllo"
        told = await page.until("publication")
        assert (told["topic"], told["namespace"], told["text"], told["size"]) == ("room", "hall", "héllo", 6)
        assert told["subscribers"] == 2
        state = await page.until("state", lambda state: len(state["connections"]["rows"]) == 2)
        events, socket = state["connections"]["rows"]
        assert (socket["kind"], socket["path"], socket["namespace"]) == ("websocket", "/chat", "hall")
        assert (socket["user"], socket["topics"]) == ("{'name': 'ann'}", ["room"])
        assert (socket["received"], socket["received_bytes"], socket["sent"]) == (1, 6, 1)
        assert (events["kind"], events["path"], events["sent"]) == ("stream", "/events", 2)
        assert events["source"].endswith("events.py") and socket["address"].startswith("127.0.0.1:")
        assert {row["topic"]: row["subscribers"] for row in state["topics"]["rows"]}["room"] == 1
        answer = await page.ask(do="publish", topic="room", data={"by": "hand"})
        assert answer["ok"] is True
        assert json.loads(await chat.recv()) == {"by": "hand"}
        answer = await page.ask(do="close", id=socket["id"], code=4123)
        assert answer["ok"] is True
        await chat.wait_closed()
        assert chat.close_code == 4123
    closed = await page.until("closed", lambda closed: closed["kind"] == "stream")
    assert closed["path"] == "/events" and closed["sent"] >= 3
    assert {message["code"] for message in page.came if message["type"] == "closed"} >= {4123}


def test_on_the_development_server(dev: ServerProcess) -> None:
    async def scenario() -> None:
        token = await token_of(dev)
        async with inspector(dev, token, origin=dev.url.rstrip("/")) as socket:
            page = Page(socket)
            await look_around(dev, page)
            await asyncio.to_thread(httpx.get, f"{dev.url}nowhere")
            found = await page.until("request", lambda request: request["path"] == "/nowhere")
            assert found["status"] == 404 and found["seconds"] < 5
            assert (await page.ask(do="nothing"))["ok"] is False
        assert not any(
            message.get("path", "").startswith("/_longwave") for message in page.came if "path" in message
        )

    run(scenario())


def test_errors_and_reloads_are_seen_and_kept(dev: ServerProcess, root: Path) -> None:
    file = root / "src/server/routes/changed.py"

    async def scenario() -> None:
        token = await token_of(dev)
        async with inspector(dev, token) as socket:
            page = Page(socket)
            await page.until("hello")
            async with connect(f"{dev.websocket_url}chat") as chat:
                await chat.send("boom")
                error = await page.until("error")
            assert error["text"] == "RuntimeError: it went wrong" and "/chat" in error["where"]
            assert error["file"] == "src/server/routes/chat.py"
            assert (
                error["code"] == 'raise RuntimeError("it went wrong")' and "Traceback" in error["traceback"]
            )
            file.write_text("def get(event)\n    return 'broken'\n")
            failed = await page.until("reload")
            assert failed["kind"] == "Failed" and failed["failure"]["line"] == 1
            file.write_text("def get(event):\n    return 'after'\n\ndef post(event):\n    return 'new'\n")
            swapped = await page.until("reload", lambda reload: reload["kind"] == "Swapped")
            assert {"GET", "POST"} == {
                route["method"] for route in swapped["routes_now"] if route["pattern"] == "/changed"
            }
        async with inspector(dev, token) as socket:
            later = Page(socket)
            await later.until("hello")
            assert (await later.until("error"))["id"] == error["id"]
            assert (await later.until("reload"))["id"] == failed["id"]

    run(scenario())


def test_a_foreign_page_sees_nothing(dev: ServerProcess) -> None:
    async def scenario() -> None:
        token = await token_of(dev)
        assert await refused(dev, token, origin="http://evil.example") == 403
        assert await refused(dev, token[::-1]) == 403
        assert await refused(dev, origin=dev.url.rstrip("/")) == 403
        async with httpx.AsyncClient() as client:
            for path in ("", "inspector/page.js"):
                rebound = await client.get(f"{dev.url}_longwave/{path}", headers={"host": "evil.example"})
                assert rebound.status_code == 403 and token not in rebound.text
                foreign = await client.get(
                    f"{dev.url}_longwave/{path}", headers={"origin": "http://evil.example"}
                )
                assert "access-control-allow-origin" not in foreign.headers
                assert foreign.headers["cross-origin-resource-policy"] == "same-origin"

    run(scenario())


def test_five_streams_of_one_address_are_hinted_at(dev: ServerProcess) -> None:
    async def scenario() -> None:
        async with httpx.AsyncClient() as client:
            responses = []
            for number in range(6):
                request = client.build_request("GET", f"{dev.url}events")
                responses.append(await client.send(request, stream=True))
                if number == 3:
                    assert "event streams are open" not in dev.output
            for response in responses:
                await response.aclose()
        async with asyncio.timeout(10):
            while "event streams are open" not in dev.output:
                await asyncio.sleep(0.02)
        assert dev.output.count("event streams are open from 127.0.0.1") == 1

    run(scenario())


def test_in_production_behind_the_form(start: ServerProcess) -> None:
    async def scenario() -> None:
        url = f"{start.url}_longwave/"
        assert await refused(start) == 401
        assert await refused(start, TOKEN.replace(" ", "+")) == 401
        async with httpx.AsyncClient() as client:
            form = await client.get(url)
            assert form.status_code == 401 and '<form method="post">' in form.text
            assert (await client.post(url, data={"token": "wrong"})).status_code == 401
            answer = await client.post(url, data={"token": TOKEN})
            assert (answer.status_code, answer.headers["location"]) == (303, "/_longwave/")
            cookie = answer.headers["set-cookie"].partition(";")[0]
        token = await token_of(start, headers={"cookie": cookie})
        headers = {"cookie": cookie}
        assert await refused(start, token, additional_headers=headers, origin="http://evil.example") == 403
        origin = start.url.rstrip("/")
        async with inspector(start, token, additional_headers=headers, origin=origin) as socket:
            await look_around(start, Page(socket))
        assert "asked for with a wrong token, from 127.0.0.1" in start.output

    run(scenario())


def test_under_uvicorn(root: Path) -> None:
    async def scenario(server: ServerProcess) -> None:
        async with inspector(server, additional_headers={"authorization": f"Bearer {TOKEN}"}) as socket:
            await look_around(server, Page(socket))

    with AsgiProbe("uvicorn", root, {"LONGWAVE_INSPECTOR_TOKEN": TOKEN}) as running:
        run(scenario(running))


def test_switched_off_there_is_nothing(root: Path) -> None:
    async def scenario(server: ServerProcess) -> None:
        async with httpx.AsyncClient() as client:
            for path in ("", "inspector", "inspector/page.js"):
                assert (await client.get(f"{server.url}_longwave/{path}")).status_code == 404
        assert await refused(server) == 404

    with ServerProcess(root, command="dev", env={"LONGWAVE_INSPECTOR": "false"}) as running:
        run(scenario(running))
