"""A front end of React, from npm, with Vite behind us, before us, and built."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bench.process import lives
from tests.e2e.browser import in_chromium
from tests.e2e.npm import make_project
from tests.e2e.process import COMMAND, ServerProcess, free_port
from tests.e2e.vite import Dev, edit_component, get

pytestmark = [pytest.mark.node, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("react"), "vite_react")
    (root / "web" / ".env").write_text("SECRET=1\n")
    return root


@pytest.fixture(scope="module")
def dev(project: Path) -> Iterator[Dev]:
    with Dev(project) as server:
        yield server


def descendants(pid: int) -> list[int]:
    """Return the processes below one, whatever their groups."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        children = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if (
                    entry.name.isdigit()
                    and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent
                ):
                    children.append(int(entry.name))
        found += children
        todo += children
    return found


def gone(pids: list[int], within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while any(lives(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.browser
def test_an_edited_component_is_on_the_page_without_a_reload(project: Path, dev: Dev) -> None:
    in_chromium(lambda browser: edit_component(browser, dev, project / "web" / "src" / "Title.jsx"))
    assert "  vite " in dev.output and "hmr update" in dev.output
    assert "➜" not in dev.output


def test_what_is_a_route_is_ours_and_the_rest_is_vites(dev: Dev) -> None:
    assert get(dev.port, "/plain.txt")[2] == "plain\n"
    assert get(dev.port, "/src/App.jsx")[1]["content-type"] == "text/javascript"
    # The front end's own routes.
    assert "/@vite/client" in get(dev.port, "/some/page")[2]
    assert get(dev.port, "/api/ws/echo")[0] == 426
    status, fields, text = get(dev.port, "/", "HEAD")
    assert (status, text) == (200, "") and fields["content-type"].startswith("text/html")
    # What Vite refuses stays refused.
    assert get(dev.port, "/", host="evil.example")[0] == 403
    for path in ("/.env", "/.env?raw", "/.env?import&raw", "/@fs" + str(dev.root / "longwave.config.py")):
        assert not re.search("SECRET|define_config", get(dev.port, path)[2])
    with connect(f"{dev.websocket_url}api/ws/echo", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv() == "hello"
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{dev.websocket_url}nowhere", proxy=None)
    assert refused.value.response.status_code == 404


def test_the_socket_of_vite_is_vites_and_guarded(dev: Dev) -> None:
    vite: Any = {"proxy": None, "subprotocols": ["vite-hmr"]}
    own: Any = dev.url.rstrip("/")
    with connect(f"{dev.websocket_url}?token={dev.token}", origin=own, **vite) as socket:
        assert socket.subprotocol == "vite-hmr"
        assert json.loads(socket.recv(5))["type"] == "connected"
    with connect(dev.websocket_url, **{**vite, "subprotocols": ["vite-ping"]}) as socket:
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
        assert socket.protocol.close_code == 1000
    for origin, query, status in (
        (own, "", 400),
        (own, "?token=wrong", 400),
        ("https://evil.example", f"?token={dev.token}", 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{dev.websocket_url}{query}", **{**vite, "origin": origin})
        assert refused.value.response.status_code == status


def test_a_stream_reaches_the_client_at_once(dev: Dev) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", dev.port, timeout=5)
    connection.request("GET", "/api/clock")
    answer = connection.getresponse()
    assert answer.readline() == b"data: tick\n"
    connection.close()


def test_vite_ends_with_us(project: Path) -> None:
    with Dev(project) as server:
        below = descendants(server.pid)
        began = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert gone(below)
        assert time.monotonic() - began < 4


def test_vite_ends_when_we_are_killed(project: Path) -> None:
    port = free_port()
    command = [*COMMAND, "dev", str(project), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        assert server.stdout is not None
        try:
            while b"vite  " not in (line := server.stdout.readline()) and b"VITE" not in line:
                assert line, "it did not start"
            below = descendants(server.pid)
            assert len(below) >= 3
        finally:
            server.kill()
        assert gone(below)
        # What they held of ours is closed too.
        server.stdout.read()


def longwave(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_a_vite_that_does_not_start_is_an_error(project: Path, tmp_path: Path) -> None:
    config = project / "web" / "vite.config.js"
    text = config.read_text()
    config.write_text("this is no JavaScript\n")
    try:
        done = longwave("dev", project, "--port", str(free_port()))
    finally:
        config.write_text(text)
    assert done.returncode == 1
    assert "Vite did not start (exit code 1)" in done.stderr and "vite.config.js" in done.stderr
    (tmp_path / "web").mkdir()
    (tmp_path / "longwave.config.py").write_text((project / "longwave.config.py").read_text())
    done = longwave("dev", tmp_path, "--port", str(free_port()))
    assert done.returncode == 1 and f"run `npm install` in {tmp_path / 'web'}" in done.stderr


def test_the_built_front_end(project: Path) -> None:
    done = longwave("start", project, "--port", str(free_port()))
    assert done.returncode == 1 and "run `longwave build`" in done.stderr
    done = longwave("build", project)
    assert done.returncode == 0, done.stdout + done.stderr
    with ServerProcess(project) as server:
        status, fields, page = get(server.port, "/")
        assert status == 200 and fields["cache-control"] == "no-cache"
        # The front end's own routes, for browsers that go there, and not for data.
        assert get(server.port, "/some/page")[2] == page
        assert get(server.port, "/some/page", accept="application/json")[0] == 404
        assert get(server.port, "/missing.js")[0] == 404
        assert get(server.port, "/.vite/manifest.json")[0] == 404
        hashed = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
        assert len(hashed) == 2
        for path in hashed:
            status, fields, _ = get(server.port, path)
            assert status == 200 and fields["cache-control"] == "public, max-age=31536000, immutable"
            assert get(server.port, path, if_none_match=fields["etag"])[0] == 304
        status, fields, text = get(server.port, "/plain.txt")
        assert text == "plain\n" and "immutable" not in fields["cache-control"]
        assert get(server.port, "/api/ws/echo")[0] == 426
        with connect(f"{server.websocket_url}api/ws/echo", proxy=None) as socket:
            socket.send("hello")
            assert socket.recv() == "hello"


def test_vite_before_us(project: Path, tmp_path: Path) -> None:
    """The other way round: a Vite whose own proxy leads to us."""
    port = free_port()
    routes = tmp_path / "src"
    routes.symlink_to(project / "src")
    with ServerProcess(tmp_path) as server:
        config = project / "web" / "front.config.js"
        rule = {"target": f"http://127.0.0.1:{server.port}", "ws": True}
        config.write_text(f"export default {{ server: {{ proxy: {{ '/api': {json.dumps(rule)} }} }} }}\n")
        command = ["node_modules/.bin/vite", "--config", config.name, "--port", str(port), "--strictPort"]
        with subprocess.Popen(
            [*command, "--host", "127.0.0.1"],
            cwd=project / "web",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as vite:
            try:
                assert vite.stdout is not None
                while b"ready" not in (line := vite.stdout.readline()):
                    assert line, "Vite did not start"
                asyncio.run(through_vite(port))
            finally:
                vite.terminate()
                vite.communicate()


async def through_vite(port: int) -> None:
    """Talk to us through a Vite: a WebSocket as its pages open it, an event stream, and their ends."""
    from websockets.asyncio.client import connect

    origin: Any = f"http://127.0.0.1:{port}"
    async with connect(f"ws://127.0.0.1:{port}/api/ws/echo", proxy=None, origin=origin) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await socket.close(4000, "enough")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/clock HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(5):
        assert b"200" in await reader.readline()
        await reader.readuntil(b"data: tick\n")
    writer.close()
