"""A project folder as an application: routes, middleware, plugins and files, and what is wrong with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from longwave import ConfigError, RouteError, create_app
from longwave.assemble import App
from longwave.config import load_settings
from longwave.contract import StreamReply
from tests.app.harness import ask, connect, full, run_app, turn


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def run(app: App, test: Callable[[Any], Awaitable[None]]) -> None:
    run_app(app, test)


def dev_app(root: Path) -> App:
    return create_app(root, settings=load_settings(root, command="dev", environ={}))


PROJECT = {
    "index.html": "<h1>home</h1>",
    "public/logo.txt": "logo",
    "public/shadowed.txt": "file",
    "src/server/middleware/01.user.py": (
        "def handler(event):\n    event.context['user'] = event.headers.get('x-user', 'nobody')\n"
    ),
    "src/server/middleware/02.gate.py": (
        "from longwave import Response, define_middleware\n"
        "@define_middleware\n"
        "async def middleware(event, next):\n"
        "    if event.path.startswith('/private'):\n"
        "        return Response('no', 403)\n"
        "    response = await next()\n"
        "    response.set_header('x-gate', event.context['user'])\n"
        "    return response\n"
    ),
    "src/server/plugins/seen.py": (
        "from longwave import define_plugin\n"
        "@define_plugin\n"
        "async def plugin(app):\n"
        "    app.state['seen'] = ['start']\n"
        "    yield\n"
        "    app.state['seen'].append('end')\n"
    ),
    "src/server/util/words.py": "def shout(text):\n    return text.upper()\n",
    "src/server/routes/[name].py": (
        "from src.server.util.words import shout\ndef get(event):\n    return shout(event.params['name'])\n"
    ),
    "src/server/routes/shadowed.txt.py": "def get(event):\n    return 'route'\n",
    "src/server/routes/items/index.get.py": "def handler(event):\n    return ['list']\n",
    "src/server/routes/items/index.post.py": (
        "from ...util.words import shout\ndef handler(event):\n    return shout('made')\n"
    ),
    "src/server/routes/both.py": (
        "from longwave import define_websocket_handler\n"
        "def get(event):\n    return 'http'\n"
        "websocket = define_websocket_handler(open=lambda peer: peer.send('socket'))\n"
    ),
    "src/server/routes/debug.dev.py": "def get(event):\n    return 'dev'\n",
}


def test_a_folder_is_an_application(tmp_path: Path) -> None:
    app = create_app(write(tmp_path, PROJECT))

    async def check(app: App) -> None:
        assert app.state["seen"] == ["start"]
        reply = await full(app, "/hello", headers=[(b"x-user", b"ann")])
        assert reply.body == b"HELLO" and (b"x-gate", b"ann") in reply.headers
        assert (await full(app, "/items")).body == b'["list"]'
        assert (await full(app, "/items", method="POST")).body == b"MADE"
        assert (await full(app, "/private/x")).status == 403
        assert (await full(app, "/private/x", upgrade=True)).status == 403
        home = await full(app, "/")
        assert home.body == b"<h1>home</h1>" and (b"x-gate", b"nobody") in home.headers
        assert (await full(app, "/both")).body == b"http"
        peer, link = await connect(app, "/both", headers=[(b"x-user", b"bob")])
        assert link.messages == ["socket"] and peer.context["user"] == "bob"

    run(app, check)
    assert app.state["seen"] == ["start", "end"]


def test_files_stand_before_parameters_and_after_routes_of_that_very_name(tmp_path: Path) -> None:
    async def check(app: App) -> None:
        assert (await full(app, "/logo.txt")).body == b"logo"
        assert (await full(app, "/shadowed.txt")).body == b"route"
        assert (await full(app, "/logo.txt", method="HEAD")).status == 200
        etag = dict((await full(app, "/logo.txt")).headers)[b"etag"]
        assert (await full(app, "/logo.txt", headers=[(b"if-none-match", etag)])).status == 304
        assert (await full(app, "/.env")).status in (200, 404)
        assert b"SECRET" not in (await full(app, "/..%2f.env")).body

    run(create_app(write(tmp_path, {**PROJECT, ".env": "SECRET=1"})), check)


def test_big_files_are_streamed(tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    (tmp_path / "public" / "big.bin").write_bytes(b"x" * 700_000)

    async def check(app: App) -> None:
        from longwave.core.sse import BODY
        from tests.app.harness import FakeLink

        reply = await ask(app, "/big.bin")
        assert isinstance(reply, StreamReply) and (b"content-length", b"700000") in reply.headers
        link = FakeLink(BODY)
        reply.session.opened(link)
        while link.closed_with is None:
            await asyncio.sleep(0.001)
        reply.session.closed(1000, "")
        assert b"".join(link.written) == b"x" * 700_000

    run(create_app(tmp_path), check)


def test_routes_are_listed_with_their_files_from_the_root(tmp_path: Path) -> None:
    app = create_app(write(tmp_path, PROJECT))
    lines = {(line.method, line.pattern, line.kind): line.source for line in app.routes()}
    assert lines["GET", "/both", "websocket"] == "src/server/routes/both.py"
    assert lines["GET", "/[name]", "http"] == "src/server/routes/[name].py"
    assert not any(line.pattern == "/debug" for line in app.routes())
    assert any(line.pattern == "/debug" for line in dev_app(tmp_path).routes())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"src/server/routes/a.py": "x = 1\n"}, ["a.py", "no route", "found: x"]),
        ({"src/server/routes/a.py": "import nothing_like_it\n"}, ["a.py", "line 1", "nothing_like_it"]),
        ({"src/server/routes/a.py": "def get(event):\n  return (\n"}, ["a.py", "line 2"]),
        ({"src/server/routes/a.get.py": "def post(event): ...\n"}, ["a.get.py", "GET", "`post`"]),
        ({"src/server/routes/a.py": "def get(event, other): ...\n"}, ["a.py", "needs 2"]),
        (
            {
                "src/server/routes/a.py": "def get(e): ...\n",
                "src/server/routes/a/index.py": "def get(e): ...\n",
            },
            ["a.py", "index.py"],
        ),
        ({"src/server/routes/con.py": "def get(e): ...\n"}, ["con.py", "Windows"]),
        ({"src/server/middleware/a.py": "x = 1\n"}, ["a.py", "`middleware`"]),
        ({"src/server/plugins/a.py": "x = 1\n"}, ["a.py", "`plugin`"]),
    ],
)
def test_what_is_wrong_with_a_project_is_said_with_its_file(
    tmp_path: Path, files: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(RouteError) as caught:
        create_app(write(tmp_path, files))
    assert [word for word in words if word not in str(caught.value)] == []


def test_dev_serves_the_rest_and_shows_the_error_at_its_route(tmp_path: Path) -> None:
    files = {
        "src/server/routes/good.py": "def get(event):\n    return 'good'\n",
        "src/server/routes/bad.py": "from longwave import Peer\nraise ValueError('half saved')\n",
    }
    app = dev_app(write(tmp_path, files))
    assert [problem.source for problem in app.problems] == ["src/server/routes/bad.py"]

    async def check(app: App) -> None:
        assert (await full(app, "/good")).body == b"good"
        reply = await full(app, "/bad")
        assert reply.status == 500
        message = json.loads(reply.body)["message"]
        assert "bad.py" in message and "line 2" in message and "half saved" in message
        assert (await full(app, "/bad", upgrade=True)).status == 500

    run(app, check)


def test_settings_reach_the_app(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "longwave.config.py": (
                "from longwave import define_config\n"
                "config = define_config(features={'websocket': False}, limits={'topics_per_peer': 3})\n"
            ),
            "src/server/routes/ws.py": "from longwave import define_websocket_handler as d\nhandler = d()\n",
        },
    )
    app = create_app(tmp_path)
    assert app.limits.topics_per_peer == 3

    async def check(app: App) -> None:
        assert (await full(app, "/ws", upgrade=True)).status == 426

    run(app, check)
    with pytest.raises(ConfigError, match="websockets"):
        create_app(tmp_path, features={"websockets": True})


def test_two_projects_in_one_process_never_meet(tmp_path: Path) -> None:
    apps = []
    for name in ("one", "two"):
        files = {
            "src/server/util.py": f"NAME = {name!r}\n",
            "src/server/routes/name.py": (
                "def get(event):\n    from src.server.util import NAME\n    return NAME\n"
            ),
        }
        apps.append(create_app(write(tmp_path / name, files)))

    async def main() -> None:
        for app in apps:
            await app.startup()
        assert [(await full(app, "/name")).body for app in apps] == [b"one", b"two"]
        for app in apps:
            await app.shutdown()

    asyncio.run(main())


def test_a_table_without_any_folder() -> None:
    async def check(app: App) -> None:
        assert (await full(app, "/a/7")).body == b'{"id":"7"}'
        assert (await full(app, "/a/7", method="POST")).status == 405
        await turn()

    run(create_app(routes={"GET /a/:id": lambda event: event.params}), check)
