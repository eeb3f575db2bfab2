"""The project that these tests serve, and what it and the system say of its process."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from tests.e2e.process import ServerProcess

__all__ = ["MIB", "AsgiProbe", "Probe", "State", "copy_project", "probing"]

APPS = Path(__file__).with_name("apps")
ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class State:
    """What has to be the same before and after: a leak shows as a difference."""

    connections: int
    peers: int
    streams: int
    topics: int
    tasks: int
    files: int
    waiting: int
    unfinished: int

    def exceeds(self, before: State) -> bool:
        """Tell whether there is more of anything than before."""
        return any(now > was for now, was in zip(astuple(self), astuple(before), strict=True))


class Probe(ServerProcess):
    """A server of the project `apps/probe` that can be asked what it has open."""

    def stats(self) -> dict[str, Any]:
        """Return the counters of application and server, over a connection of its own."""
        return self.ask("GET", "/stats")

    def ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Send one request, which must be answered with 200 and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {"Connection": "close"})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        assert response.status == 200, (response.status, content)
        answer: dict[str, Any] = json.loads(content)
        return answer

    @property
    def code(self) -> int | None:
        """The exit code, or None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def wait(self, within: float) -> int:
        """Wait until it has ended by itself; return the exit code."""
        assert self._process is not None
        return self._process.wait(within)

    def noted(self, what: str) -> int:
        """Return how often the project noted something."""
        return int(self.stats()["noted"].get(what, 0))

    def passed(self, limit: str) -> int:
        """Return how often a limit or time-out was passed, as `app.stats()` has it."""
        return int(self.stats()["app"][limit])

    def state(self) -> State:
        """Return what is open now, without the connection that asks."""
        stats = self.stats()
        server = stats["server"] or {"connections": 1, "outgoing_waiting": 0, "unfinished": 0}
        return State(
            connections=server["connections"] - 1,
            peers=stats["app"]["peers"],
            streams=stats["app"]["streams"],
            topics=stats["app"]["topics"],
            tasks=stats["tasks"] + stats["app"]["tasks"],
            files=stats["files"],
            waiting=server["outgoing_waiting"],
            unfinished=server["unfinished"],
        )

    def returns_to(self, before: State, within: float = 15.0) -> None:
        """Wait until everything that was opened since is gone again; less than before is no leak."""
        until = time.monotonic() + within
        while (now := self.state()).exceeds(before):
            assert time.monotonic() < until, f"left over after {within} s:\n{now}\nbefore:\n{before}"
            time.sleep(0.02)

    def rss(self) -> int:
        """Return the memory of the process in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Check at the end of the block that it answers and that nothing is left of what went on inside."""
        before = self.settled()
        yield
        assert self.answers()
        self.returns_to(before)

    def settled(self) -> State:
        """Return the state once nothing is open and nothing has changed for a moment."""
        until = time.monotonic() + 15
        state, same = self.state(), 0
        while same < 4:
            time.sleep(0.02)
            again = self.state()
            idle = not (again.connections or again.peers or again.streams or again.topics)
            same = same + 1 if idle and again == state else 0
            state = again
            assert time.monotonic() < until, f"not idle: {again}"
        return state


class AsgiProbe(Probe):
    """The same project under a server of others, which knows nothing of limits and counts nothing."""

    def __init__(self, server: str, root: Path, env: Mapping[str, str]) -> None:
        super().__init__(root, env={**env, "PYTHONPATH": str(ROOT)})
        self._argv = [sys.executable, "-m", "tests.e2e.serve", server, str(self.port), str(root)]

    def stop(self, signum: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Stop it; uvicorn ends by the signal itself once it has ended in order."""
        code = super().stop(signum, within)
        return 0 if code == -signum else code


def copy_project(target: Path, *names: str) -> Path:
    """Copy projects of `apps/` over each other."""
    for name in names:
        shutil.copytree(APPS / name, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@contextmanager
def probing(
    folder: Path, *layers: str, env: Mapping[str, Any] | None = None, server: str = "longwave"
) -> Iterator[Probe]:
    """Serve the project, with others of `apps/` laid over it; it must end well.

    `env` are settings: `{"limits.body": 100}` is `LONGWAVE_LIMITS_BODY=100`; other names stay. `server` is
    `longwave`, `uvicorn` or `hypercorn`.
    """
    project = copy_project(folder, "probe", *layers)
    variables = dict(map(_variable, (env or {}).items()))
    probe = Probe(project, env=variables) if server == "longwave" else AsgiProbe(server, project, variables)
    with probe as running:
        yield running


def _variable(setting: tuple[str, Any]) -> tuple[str, str]:
    name, value = setting
    return (f"LONGWAVE_{name.replace('.', '_').upper()}" if "." in name else name), str(value)
