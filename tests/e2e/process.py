"""A Longwave server as a process of its own, for tests that talk to it over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from bench.process import free_port, group_ends

__all__ = ["CHAT", "COMMAND", "ServerProcess", "free_port"]

COMMAND = (str(Path(sys.executable).with_name("longwave")),)
"""The command as it was installed beside this Python."""

CHAT = Path(__file__).parents[2] / "examples" / "chat"
"""The project of the example."""


class ServerProcess:
    """`longwave start ROOT` (or `dev`) on a free port, from its first answer to its last process.

    As a context manager it starts the server and waits until it answers; at the end it stops it, and
    fails where the server ended badly or left a process behind. `args` are more arguments of the command;
    `host` None leaves out `--host`; `env` is added to the environment, out of which settings of Longwave were
    taken.
    """

    def __init__(
        self,
        root: Path = CHAT,
        *args: str,
        command: Literal["start", "dev"] = "start",
        port: int | None = None,
        host: str | None = "127.0.0.1",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.port = port or free_port()
        where = ["--port", str(self.port), *(("--host", host) if host is not None else ())]
        self._argv = [*COMMAND, command, str(root), *where, *args]
        self._env = {**_environment(), **(env or {})}
        self._output = tempfile.TemporaryFile("w+b")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of `/`, with its slash."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def websocket_url(self) -> str:
        """The same address for WebSockets."""
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def output(self) -> str:
        """All that the server has printed so far, over restarts."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def start(self, within: float = 20.0) -> None:
        """Start it and return once it answers; raises `AssertionError` with its output if it does not."""
        assert self._process is None, "the server runs already"
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=self._env,
            start_new_session=True,
        )
        deadline = time.monotonic() + within
        while not self.answers():
            code = self._process.poll()
            assert code is None, f"the server ended with {code}:\n{self.output}"
            assert time.monotonic() < deadline, f"no answer within {within} s:\n{self.output}"
            time.sleep(0.02)

    def answers(self) -> bool:
        """Tell whether an HTTP request gets an answer, whatever its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/_longwave/health")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def stop(self, signum: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Send one signal, wait for the end, check that nothing is left; return the exit code."""
        process = self._process
        assert process is not None, "the server does not run"
        process.send_signal(signum)
        try:
            code = process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {within} s after {signum.name}:\n{self.output}") from None
        self._process = None
        assert group_ends(process.pid), f"processes left behind by {process.pid}:\n{self.output}"
        return code

    def kill(self) -> None:
        """End it and all that it started, at once; harmless when it is gone."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            self._output.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self.kill()
                print(self.output)  # pytest shows it beside the failure
            elif self._process is not None:
                code = self.stop()
                assert code == 0, f"exit code {code}:\n{self.output}"
        finally:
            self.kill()
            self._output.close()


def _environment() -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOST", "PORT") and not name.startswith("LONGWAVE_")
    }
    return {**inherited, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
