"""`longwave dev` at a terminal: what it shows while people work, and what they type."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.e2e.process import COMMAND
from tests.e2e.terminal import Terminal

CHAT = """
from longwave import define_websocket_handler
handler = define_websocket_handler()

@handler.message
def message(peer, message):
    peer.send(message.text())
"""
FILES = {
    "pyproject.toml": "[tool.longwave]\n",
    "index.html": "<!doctype html><p>page",
    "src/server/routes/api/chat.py": CHAT,
    "src/server/routes/api/boom.py": (
        "def find(name):\n    return {}[name]\n\n\nasync def get(event):\n    return find('x')\n"
    ),
    "src/server/routes/api/task.py": (
        "import asyncio\n\n\nasync def fail():\n    raise LookupError('in a task')\n\n\n"
        "async def get(event):\n    asyncio.create_task(fail())\n    await asyncio.sleep(0)\n"
    ),
    "src/server/routes/api/stop.py": "async def get(event):\n    breakpoint()\n    return 'went on'\n",
    "src/server/routes/api/noisy.py": "async def get(event):\n    print('from the project')\n",
    "src/server/util.py": "WORDS = 1\n",
    "src/server/plugins/metrics.py": "from src.server.util import WORDS\n\n\ndef plugin(app):\n    pass\n",
}
DEV = (*COMMAND, "dev")
CLIENT = httpx.Client(trust_env=False, timeout=30)
"""One for all tests: each that is made reads all certificates."""
BEHIND = """
import os, signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:], process_group=0)
for line in sys.stdin:
    if line == "fg\\n":
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, child.pid)
        print("child in front", flush=True)
        break
    print(f"parent read {line}", end="", flush=True)
raise SystemExit(child.wait())
"""
"""Starts a command as a shell does with `&`: in a group of its own, behind this one."""


def make_project(root: Path) -> Path:
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def dev(root: Path) -> Iterator[Terminal]:
    with Terminal([*DEV, str(root), "--port", "0"]) as terminal:
        terminal.shows(r"press h \+ enter")
        yield terminal
        before = terminal.modes()
        terminal.type("q\n")
        assert terminal.end() == 0
        assert "Traceback" not in terminal.plain
        assert terminal.modes() == before


@pytest.fixture(scope="module")
def url(dev: Terminal) -> str:
    return dev.shows(r"Local +(http://\S+?)/\n")[1]


def test_a_line_for_each_request(dev: Terminal, url: str) -> None:
    for path in ("/", "/api/noisy", "/nowhere?token=secret", "/_longwave/health", "/api/chat"):
        CLIENT.get(url + path)
    dev.shows(r"\n  \d\d:\d\d:\d\d  GET    426   /api/chat  [\d.]+ ms\n")
    dev.shows(r"  GET    file  /\n")
    dev.writes(r"\x1b\[33m404 \x1b\[0m  /nowhere\x1b\[2m  [\d.]+ ms")
    dev.shows(r"from the project\n")
    assert "secret" not in dev.text
    assert "_longwave/health" not in dev.text


def test_a_websocket_opens_and_closes(dev: Terminal, url: str) -> None:
    with connect(url.replace("http", "ws") + "/api/chat") as socket:
        dev.shows(r"  WS     open  /api/chat\n")
        for _ in range(3):
            socket.send("x")
            socket.recv()
    dev.shows(r"  WS     1000  /api/chat  \d+ ms, 3 in, 3 out\n")


def test_an_error_shows_the_lines_of_the_project(dev: Terminal, url: str) -> None:
    assert CLIENT.get(f"{url}/api/boom").status_code == 500
    lines = dev.shows(r"(?s)error: GET /api/boom failed\n(.*?)\n  \d\d:\d\d:\d\d  GET    500   /api/boom")[1]
    head, hidden = lines.rsplit("\n", 1)
    assert head.split("\n") == [
        "            KeyError: 'x'",
        "              src/server/routes/api/boom.py:2 in find",
        "                return {}[name]",
        "              src/server/routes/api/boom.py:6 in get",
        "                return find('x')",
    ]
    assert hidden.endswith("of longwave hidden; --log-level debug shows all)")


def test_an_error_of_a_task_too(dev: Terminal, url: str) -> None:
    CLIENT.get(f"{url}/api/task")
    dev.shows(r"error: Task exception was never retrieved\n")
    dev.shows(r"    LookupError: in a task\n +src/server/routes/api/task.py:5 in fail\n")


def test_saves_of_one_file_are_one_line(dev: Terminal, url: str, root: Path) -> None:
    path = root / "src/server/routes/api/chat.py"
    with connect(url.replace("http", "ws") + "/api/chat"):
        dev.shows(r"WS     open  /api/chat\n(?!.*WS     1)")
        for number in range(1, 4):
            path.write_text(CHAT + "#" * number)
            counted = rf"\x1b\[33m \(x{number}\)\x1b\[0m" if number > 1 else ""
            shown = dev.writes(
                r"swapped\x1b\[0m in \d+ ms: src/server/routes/api/chat.py"
                rf"\x1b\[2m \(1 route, 1 socket kept\)\x1b\[0m{counted}\r\n"
            )
            over = dev.text[: shown.start()].rpartition("\n")[2]
            assert over.startswith("\x1b[1A\r\x1b[2K") == (number > 1)
        # What the project wrote in between is not overwritten.
        CLIENT.get(f"{url}/api/noisy")
        dev.shows(r"\(x3\)\n(?:from the project\n|.*/api/noisy.*\n){2}")
        path.write_text(CHAT)
        dev.shows(r"(?:/api/noisy.*|from the project)\n.*swapped in \d+ ms: .*socket kept\)\n")
        assert dev.text.count("\x1b[1A") == 2


def test_why_a_new_process_was_needed(dev: Terminal, root: Path) -> None:
    (root / "src/server/util.py").write_text("WORDS = 2\n")
    dev.shows(r"restarted in \d+ ms: src/server/util.py \(metrics.py is a plugin, which runs once\)\n")


def test_what_is_typed(dev: Terminal, url: str) -> None:
    dev.type("h\n")
    dev.shows(r"q \+ enter +quit\n")
    dev.type("u\n")
    dev.shows(rf"u\n  Local     {url}/\n")
    dev.type("\x04")
    dev.type("c\n")
    dev.writes(r"\x1b\[2J\x1b\[3J\x1b\[H")
    dev.type("r\n")
    dev.shows(r"restarted in \d+ ms\n")
    assert CLIENT.get(f"{url}/api/noisy").status_code == 204
    # Or its line comes in the middle of what is typed next.
    dev.shows(r"restarted in \d+ ms\n[\s\S]*/api/noisy  [\d.]+ ms\n")


def test_a_debugger_has_the_terminal_while_it_reads(dev: Terminal, url: str) -> None:
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(CLIENT.get(f"{url}/api/stop").text))
    asking.start()
    dev.shows(r"\(Pdb\) ")
    dev.type("p 6 * 7\n")
    dev.shows(r"\n42\n\(Pdb\) ")
    restarts = dev.plain.count("restarted in")
    dev.type("r\n")
    dev.shows(r"\(Pdb\) r\n[\s\S]*\(Pdb\) ")
    dev.type("c\n")
    asking.join(20)
    assert answers == ["went on"]
    assert dev.plain.count("restarted in") == restarts
    # And the letters work again.
    dev.type("u\n")
    dev.shows(rf"/api/stop[\s\S]*u\n  Local     {url}/\n")


def test_ctrl_c_and_a_terminal_without_colours(root: Path) -> None:
    command = [*DEV, str(root), "--port", "0", "--no-color"]
    with Terminal(command, {"CI": "true"}) as terminal:
        url = terminal.shows(r"Local +(http://\S+?)/\n")[1]
        terminal.shows(r"GET +/api/task .*\n")
        CLIENT.get(f"{url}/api/noisy")
        terminal.shows("from the project")
        began = time.monotonic()
        terminal.type("\x03")
        assert terminal.end() == 0
        print(f"Ctrl-C took {time.monotonic() - began:.2f} s")
        # A build server has no use for requests, letters and colours.
        assert "\x1b[" not in terminal.text
        assert "press" not in terminal.text
        assert "204" not in terminal.text


def test_behind_it_is_not_stopped_and_reads_nothing(root: Path) -> None:
    command = [sys.executable, "-c", BEHIND, *DEV, str(root), "--port", "0"]
    with Terminal(command) as terminal:
        url = terminal.shows(r"Local +(http://\S+?)/\n")[1]
        terminal.shows(r"GET +/api/task .*\n")
        terminal.type("q\n")
        terminal.shows("parent read q")
        assert CLIENT.get(f"{url}/api/noisy").status_code == 204
        assert "press" not in terminal.plain
        terminal.type("fg\n")
        terminal.shows("child in front")
        terminal.type("q\n")
        assert terminal.end() == 0
