from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TEST = """
import asyncio

def test_it(longwave_client):
    async def run():
        async with longwave_client() as client:
            async with client.websocket("/hello") as ws:
                assert await ws.receive() == "hello"
            assert client.timeout == 5.0
    asyncio.run(run())
"""
ROUTE = """
from longwave import define_websocket_handler

def open(peer):
    peer.send("hello")

handler = define_websocket_handler(open=open)
"""


def test_fixture_serves_the_project(tmp_path: Path) -> None:
    routes = tmp_path / "my-app" / "src" / "server" / "routes"
    routes.mkdir(parents=True)
    (routes / "hello.py").write_text(ROUTE)
    (tmp_path / "test_hello.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nlongwave_root = my-app\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_hello.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_plugin_loads_nothing_beyond_the_package() -> None:
    code = (
        "import sys, pytest, longwave\n"
        "before = set(sys.modules)\n"
        "import longwave.testing.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "['longwave.testing', 'longwave.testing.plugin']"
