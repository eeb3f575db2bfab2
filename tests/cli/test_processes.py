"""`longwave dev`, `start` and `routes` as processes, on projects that change."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from longwave.cli.new import create_project

SOON = 3.0
"""Seconds: the end takes less than one, and a busy machine may add to it."""

HELLO = """
import os

async def get(event):
    return {"pid": os.getpid(), "text": "TEXT", "token": os.environ.get("TOKEN")}
"""
CHAT = """
from longwave import define_websocket_handler

handler = define_websocket_handler()

@handler.message
def echo(peer, message):
    peer.send(message)
"""


class Command:
    """A command that runs: what it wrote, and how it ended."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None, **environ: str) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PORT", "HOST") and not name.startswith("LONGWAVE_")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "longwave.cli", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env={**clean, **environ},
            start_new_session=True,
        )
        self.text = ""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Everything of it: a failing test leaves nothing behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        if error is not None:
            print(self.text)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.text += line
                self._more.notify_all()

    def shows(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until the output matches so many times; returns the last match."""
        with self._more:
            found = self._more.wait_for(lambda: len(re.findall(pattern, self.text)) >= times, 15)
        assert found, f"{pattern!r} was not shown:\n{self.text}"
        return list(re.finditer(pattern, self.text))[times - 1]

    def url(self) -> str:
        """Return the address that the banner shows."""
        return self.shows(r"Local +(http://\S+?)/\n")[1]

    def end(self, number: int = signal.SIGINT, within: float = 10) -> float:
        """Send a signal to the command alone; returns after how many seconds it ended."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(within)
        seconds = time.monotonic() - began
        self._reader.join()
        assert "Traceback" not in self.text
        return seconds


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        # A zombie in a container without a proper first process is as good as gone.
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def gone(pid: int, within: float = 5) -> bool:
    until = time.monotonic() + within
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    routes = tmp_path / "src" / "server" / "routes" / "api"
    routes.mkdir(parents=True)
    (routes / "hello.py").write_text(HELLO)
    (routes / "chat.py").write_text(CHAT)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield int(sock.getsockname()[1])


def route(root: Path, name: str) -> Path:
    return root / "src" / "server" / "routes" / "api" / name


def test_start_serves_and_ends_in_order(root: Path) -> None:
    with Command("start", root, "--port", "0") as command:
        url = command.url()
        assert httpx.get(f"{url}/api/hello").json()["text"] == "TEXT"
        command.shows(r"WS +/api/chat +websocket")
        assert command.end(signal.SIGTERM) < 10
        assert command.process.returncode == 0


def test_start_reads_no_env_files_and_dev_does(root: Path) -> None:
    (root / ".env").write_text("TOKEN=${WHO}-dev\n")
    with Command("start", root, "--port", "0", WHO="me") as command:
        assert httpx.get(f"{command.url()}/api/hello").json()["token"] is None
    with Command("dev", root, "--port", "0", WHO="me") as command:
        assert httpx.get(f"{command.url()}/api/hello").json()["token"] == "me-dev"


def test_start_refuses_a_route_that_cannot_be_imported(root: Path) -> None:
    route(root, "broken.py").write_text("import nothing_of_that_name\n")
    with Command("start", root, "--port", "0") as command:
        assert command.process.wait(15) == 1
        command.shows(r"error: .*broken\.py, line 1: ModuleNotFoundError")
        assert "Traceback" not in command.text


def test_start_at_a_taken_port(root: Path, taken: int) -> None:
    with Command("start", root, "--host", "127.0.0.1", "--port", str(taken)) as command:
        assert command.process.wait(15) == 1
        command.shows(f"error: port {taken} .*is taken")
        assert "Traceback" not in command.text
    with Command("start", root, "--host", "127.0.0.1", "--port", str(taken), "--no-strict-port") as command:
        assert httpx.get(f"{command.url()}/api/hello").status_code == 200


def test_start_at_a_unix_socket(root: Path) -> None:
    path = root / "run.sock"
    with Command("start", root, "--uds", "run.sock", cwd=root) as command:
        command.shows("unix:")
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.get("http://localhost/api/hello").status_code == 200
        command.end(signal.SIGTERM)
        assert command.process.returncode == 0
    assert not path.exists()


def test_quiet_start(root: Path) -> None:
    with Command("start", root, "--port", "0", "--log-level", "error") as command:
        time.sleep(1)
        command.end(signal.SIGTERM)
        assert command.text == ""


def test_routes(root: Path) -> None:
    with Command("routes", root) as command:
        assert command.process.wait(15) == 0
        command.shows(r"GET +/api/hello +http +\S*hello\.py")
        command.shows(r"WS +/api/chat +websocket +\S*chat\.py")
    route(root, "broken.py").write_text("x = = 1\n")
    with Command("routes", root) as command:
        assert command.process.wait(15) == 1
        command.shows(r"error: .*broken\.py, line 1: SyntaxError")


def test_dev_ends_within_a_second_and_leaves_nothing(root: Path) -> None:
    with Command("dev", root, "--port", "0") as command:
        url = command.url()
        worker = httpx.get(f"{url}/api/hello").json()["pid"]
        with connect(f"{url.replace('http', 'ws')}/api/chat") as socket:
            socket.send("hello")
            assert socket.recv(5) == "hello"
            assert command.end() < SOON
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert command.process.returncode == 0
        assert not alive(worker)


def test_dev_ends_while_a_handler_holds_the_loop(root: Path) -> None:
    route(root, "hang.py").write_text(
        "import os, time\nasync def get(event):\n"
        "    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(60)\n"
    )
    with Command("dev", root, "--port", "0", cwd=root) as command:
        url = command.url()
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"{url}/api/hang", timeout=0.3)
        assert command.end() < SOON
        assert command.process.returncode == 0
        assert gone(int((root / "pid").read_text()))


def test_ctrl_c_of_a_terminal_reaches_all_and_ends_all(root: Path) -> None:
    with Command("dev", root, "--port", "0") as command:
        worker = httpx.get(f"{command.url()}/api/hello").json()["pid"]
        os.killpg(command.process.pid, signal.SIGINT)
        assert command.process.wait(5) == 0
        command._reader.join()
        assert "Traceback" not in command.text
        assert not alive(worker)


def test_a_worker_does_not_outlive_its_supervisor(root: Path) -> None:
    with Command("dev", root, "--port", "0") as command:
        worker = httpx.get(f"{command.url()}/api/hello").json()["pid"]
        command.process.kill()
        command.process.wait()
        assert gone(worker)


def test_a_setting_that_changes_is_served_and_no_request_is_refused(root: Path) -> None:
    with Command("dev", root, "--port", "0") as command:
        url = command.url()
        with connect(f"{url.replace('http', 'ws')}/api/chat") as socket:
            (root / ".env").write_text("TOKEN=changed\n")
            tokens = []
            until = time.monotonic() + 15
            # Asked without a pause: while no worker is there a request waits.
            while "changed" not in tokens and time.monotonic() < until:
                # An answer that was cut is no refusal; a connection that cannot be made is one.
                with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                    tokens.append(httpx.get(f"{url}/api/hello", timeout=10).json()["token"])
            assert tokens[-1] == "changed"
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        shown = command.shows(r"restarted in (\d+) ms: \.env")
        assert int(shown[1]) < 5000


def test_a_broken_route_is_shown_and_the_rest_is_served(root: Path) -> None:
    with Command("dev", root, "--port", "0") as command:
        url = command.url()
        route(root, "hello.py").write_text("def get(event:\n")
        command.shows(
            r"error: .*hello\.py, line 1: SyntaxError.*\n +def get\(event:\n.*The code from before goes on"
        )
        assert httpx.get(f"{url}/api/hello").json()["text"] == "TEXT"
        route(root, "new.py").write_text("def get(event:\n")
        route(root, "hello.py").write_text(HELLO.replace("TEXT", "mended"))
        command.shows(r"mended in \d+ ms: .*hello\.py.* \(1 route, /api/new added\)")
        command.shows(r"error: .*new\.py, line 1: SyntaxError")
        answer = httpx.get(f"{url}/api/new")
        assert answer.status_code == 500
        assert "new.py" in answer.text
        assert httpx.get(f"{url}/api/hello").json()["text"] == "mended"
        with connect(f"{url.replace('http', 'ws')}/api/chat") as socket:
            socket.send("still here")
            assert socket.recv(5) == "still here"
            route(root, "new.py").write_text(HELLO.replace("TEXT", "new"))
            command.shows(r"swapped in \d+ ms: src/server/routes/api/new\.py \(.*1 socket kept\)")
            assert httpx.get(f"{url}/api/new").json()["text"] == "new"


@pytest.mark.parametrize(
    ("name", "source", "shown"),
    [
        ("longwave.config.py", "config = (\n", r"error: \S*longwave\.config\.py, line 1: SyntaxError"),
        (
            "src/server/plugins/metrics.py",
            "import os\n\ndef plugin(app):\n    raise LookupError('no vault')\n",
            r"error: (.*\n)*?.*metrics\.py, line 4\b(.*\n)*? +raise LookupError\('no vault'\)",
        ),
        ("src/server/plugins/metrics.py", "1 / 0\n", r"error: .*metrics\.py, line 1: ZeroDivisionError"),
        (".env", "what is this\n", r"error: .*\.env, line 1: expected NAME=value"),
    ],
)
def test_a_failing_start_waits_for_the_next_change(root: Path, name: str, source: str, shown: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    with Command("dev", root, "--port", "0") as command:
        command.shows(shown)
        command.shows("Nothing is served until a file changes")
        path.write_text("")
        path.unlink()
        assert httpx.get(f"{command.url()}/api/hello").status_code == 200
        path.write_text(source)
        command.shows(shown, times=2)
        assert command.end() < SOON
        assert command.process.returncode == 0


def test_another_port_when_the_port_is_taken(root: Path, taken: int) -> None:
    with Command("dev", root, "--port", str(taken)) as command:
        url = command.url()
        assert int(url.rpartition(":")[2]) > taken
        assert httpx.get(f"{url}/api/hello").status_code == 200
    with Command("dev", root, "--port", str(taken), "--strict-port") as command:
        assert command.process.wait(15) == 1
        command.shows(f"error: port {taken} is taken")


def test_a_port_that_changes_is_moved_to(root: Path) -> None:
    with Command("dev", root) as command:
        first = command.url()
        (root / "pyproject.toml").write_text("[tool.longwave]\nserver.port = 0\n")
        second = command.shows(r"Local +(http://\S+?)/\n", times=2)[1]
        assert second != first
        assert httpx.get(f"{second}/api/hello").status_code == 200


def test_what_the_project_file_hides_is_shown(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.longwave]\nserver.port = 0\n")
    (root / "longwave.config.py").write_text(
        "from longwave import define_config\nconfig = define_config(server={'port': 3100})\n"
    )
    with Command("dev", root) as command:
        command.shows(r"server\.port is 0 of .*pyproject\.toml \[tool\.longwave\], which hides 3100 of ")


def test_a_new_project_is_live(tmp_path: Path) -> None:
    create_project(tmp_path / "app")
    with Command("dev", tmp_path / "app", "--port", "0") as command:
        url = command.url()
        assert "Chat and clock" in httpx.get(url).text
        chat = f"{url.replace('http', 'ws')}/api/ws/chat"
        with connect(chat) as first, connect(chat) as second:
            assert json.loads(first.recv(5))["message"].startswith("Welcome ")
            assert json.loads(first.recv(5))["message"].endswith(" joined!")
            assert json.loads(second.recv(5))["message"].startswith("Welcome ")
            second.send(json.dumps({"message": "hello"}))
            for client in (first, second):
                assert json.loads(client.recv(5))["message"] == "hello"
        with httpx.stream("GET", f"{url}/api/sse", timeout=5) as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("data:")).startswith("data: Message @ ")
        assert command.end() < SOON
        assert command.process.returncode == 0
