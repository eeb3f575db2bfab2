"""A server of the link suite as a process of its own, and what its sessions were told."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect

from bench.process import free_port

__all__ = ["ROOT", "RunningServer", "new_key", "welcomed"]

ROOT = Path(__file__).resolve().parents[2]
START = 20.0
STOP = 10.0


class RunningServer:
    """Starts when it is made and is there when `wait_ready` returns."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.suites.serve", name, str(self.port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def wait_ready(self) -> None:
        """Return when it accepts connections."""
        until = time.monotonic() + START
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} did not start: {self.output()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > until:
                    self.process.kill()
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> str:
        """Stop it and return what it printed."""
        self.process.terminate()
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.output()

    def output(self) -> str:
        assert self.process.stdout is not None
        with self.process.stdout:
            text = self.process.stdout.read().decode()
        self.process.wait()
        return text

    def websocket(self, path: str, **options: Any) -> connect:
        """Return a connection to be awaited or entered; it pings not by itself and compresses nothing."""
        options = {"ping_interval": None, "compression": None, "close_timeout": 2, **options}
        return connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of a plain request."""
        url = f"http://127.0.0.1:{self.port}{path}"
        asked = urllib.request.Request(url, body, headers, method=method)
        try:
            answer = urllib.request.urlopen(asked, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            fields = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, fields, answer.read()

    def log(self, key: str) -> list[Any]:
        """Return what the sessions of a key were told."""
        result: list[Any] = json.loads(self.request("GET", f"/log?key={key}")[2])
        return result

    async def logged(self, key: str, wanted: Callable[[list[Any]], bool], limit: float = 10.0) -> list[Any]:
        """Return the log of a key as soon as it is as wanted, or as it is at the time limit."""
        until = time.monotonic() + limit
        while True:
            log = await asyncio.to_thread(self.log, key)
            if wanted(log) or time.monotonic() > until:
                return log
            await asyncio.sleep(0.02)


def new_key() -> str:
    """Return a key that no other session has."""
    return uuid4().hex


async def welcomed(connection: ClientConnection) -> None:
    """Take the welcome."""
    assert await connection.recv() == "welcome"
