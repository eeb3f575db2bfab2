"""System calls of the real server, `longwave start`, as strace sees them.

One message at a time, the next when every receiver has the last: so the counts are the same in every run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from bench.guard.bounds import Figures
from bench.guard.work import frame, request, upgrade

__all__ = ["Untraceable", "count_syscalls"]

APP: Final = Path(__file__).with_name("app")
MESSAGES: Final = 50
RECEIVERS: Final = 10
PATIENCE: Final = 60.0
"""Seconds that anything may take: strace slows a program down."""
KINDS: Final = {
    "read": "reads",
    "write": "writes",
    "writev": "writes",
    "sendmsg": "writes",
    "epoll_pwait": "waits",
    "epoll_ctl": "epoll_ctl",
}
CALL: Final = re.compile(
    # But a wait that its time has ended: the slower the machine, the more of them there are to a message.
    r"^\d+ +(?!epoll_pwait\(.*, [1-9]\d*, NULL, \d+\) = 0$)"
    r'(\w+)\(\d+<(?:TCP|anon_inode:\[eventpoll\])[^,]*(?:, "([^"]*))?',
    re.MULTILINE,
)

Exchange: TypeAlias = Callable[[], None]


class Untraceable(Exception):
    """Programs cannot be traced here."""


def count_syscalls() -> Figures:
    """Return the system calls per message, or delivery, of each series; raises `Untraceable`."""
    if shutil.which("strace") is None:
        raise Untraceable("strace is not installed")
    if subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True).returncode:
        raise Untraceable("this system lets no program be traced")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "strace"
        with _traced(log) as port, ExitStack() as stack:
            marker = stack.enter_context(_connected(port))
            for name, exchange in _series(stack, port).items():
                exchange()
                _ask(marker, f"/begin {name}")
                for _ in range(MESSAGES):
                    exchange()
                _ask(marker, "/end")
        return _counts(log.read_text(errors="replace"))


@contextmanager
def _traced(log: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            *("strace", "-f", "-qq", "-yy", "-s", "100", "-o", str(log)),
            *("-e", "trace=read,write,writev,sendmsg,epoll_pwait,epoll_ctl"),
            *(sys.executable, "-m", "longwave.cli", "start", str(APP)),
            *("--fd", str(listener.fileno()), "--log-level", "error"),
        ]
        strace = subprocess.Popen(command, pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL)
        try:
            yield listener.getsockname()[1]
        finally:
            # strace itself takes no signal while it traces.
            for child in Path(f"/proc/{strace.pid}/task/{strace.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGTERM)
            strace.wait(PATIENCE)


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        yield client


def _series(stack: ExitStack, port: int) -> dict[str, Exchange]:
    """Return what is to be counted: each sends one message and waits until all have it."""

    def websocket(path: str) -> socket.socket:
        client = stack.enter_context(_connected(port))
        client.sendall(upgrade(path))
        while not _receive(client).endswith(b"\r\n\r\n"):
            pass
        return client

    def stream() -> socket.socket:
        client = stack.enter_context(_connected(port))
        _ask(client, "/events")
        return client

    message = frame(b"a" * 32)
    speaker = websocket("/echo")
    publisher, *room = [websocket("/fan") for _ in range(RECEIVERS + 1)]
    web = stack.enter_context(_connected(port))
    streams = [stream() for _ in range(RECEIVERS)]
    news = request("POST", "/events", b"a" * 64)
    return {
        "system calls: echo": _exchange(speaker, message, [speaker]),
        "system calls: fan-out to 10": _exchange(publisher, message, room),
        "system calls: 10 event streams, by HTTP": _exchange(web, news, [web, *streams]),
        "system calls: HTTP, JSON": lambda: _ask(web, "/json"),
    }


def _exchange(sender: socket.socket, message: bytes, receivers: list[socket.socket]) -> Exchange:
    def exchange() -> None:
        sender.sendall(message)
        for receiver in receivers:
            _receive(receiver)

    return exchange


def _receive(client: socket.socket) -> bytes:
    data = client.recv(65536)
    if not data:
        raise ConnectionError("the server has closed the connection")
    return data


def _ask(client: socket.socket, path: str) -> None:
    client.sendall(request("GET", path.replace(" ", "%20")))
    while b"\r\n\r\n" not in _receive(client):
        pass


def _counts(log: str) -> Figures:
    figures: Figures = {}
    name, counts = "", Counter[str]()
    for call, data in CALL.findall(log):
        if data.startswith("GET /begin%20"):
            name, counts = data.split()[1].removeprefix("/begin%20").replace("%20", " "), Counter()
        elif data.startswith("GET /end"):
            figures[name] = {what: round(counts[what] / MESSAGES, 1) for what in KINDS.values()}
        else:
            counts[KINDS[call]] += 1
    return figures
