"""A server as a process tree on a core of its own: what it has used, what it holds, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cores", "Tree", "cores", "end", "free_port", "group_ends", "lives", "running"]

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the server runs, and where the client."""

    server: frozenset[int]
    client: frozenset[int]


def cores() -> Cores:
    """Choose two cores, of different hardware where there are more; on one core both share it."""
    allowed = sorted(os.sched_getaffinity(0))
    first = allowed[0]
    siblings = Path(f"/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list")
    same = _parsed(siblings.read_text()) if siblings.exists() else {first}
    others = [core for core in allowed if core not in same] or allowed[1:] or [first]
    return Cores(frozenset({first}), frozenset({others[0]}))


class Tree:
    """A process and all that descend from it, as they were when it began to answer."""

    def __init__(self, pid: int, port: int) -> None:
        self.port = port
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (fields := _stat(int(folder.name))):
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
        self.pids = [pid]
        for each in self.pids:
            self.pids += parents.get(each, [])

    def cpu(self) -> tuple[float, float]:
        """Return the seconds in user mode and in the kernel so far."""
        user = system = 0
        for fields in map(_stat, self.pids):
            if fields:
                user += int(fields[11])
                system += int(fields[12])
        return user / TICKS, system / TICKS

    def rss(self) -> int:
        """Return the resident memory in bytes."""
        return sum(int(fields[21]) for fields in map(_stat, self.pids) if fields) * PAGE


@contextmanager
def running(
    command: Sequence[str], port: int, where: Cores, cwd: Path, env: Mapping[str, str]
) -> Iterator[Tree]:
    """Run a server for a block; raises `RuntimeError` with its last words where it does not answer."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOST", "PORT") and not name.startswith("LONGWAVE_")
    }
    with tempfile.TemporaryFile("w+b") as output:
        # A child begins where we are, with every thread that it will ever have.
        os.sched_setaffinity(0, where.server)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**inherited, **env},
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, where.client)
        try:
            _await(process, port, output.fileno())
            yield Tree(process.pid, port)
        finally:
            end(process)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on, and that nobody else is given for a minute.

    A connection of it that was closed on this side keeps the system from choosing the port again, and no
    server from asking for it.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        address = listening.getsockname()
        with socket.create_connection(address) as client:
            listening.accept()[0].close()
            client.recv(1)
        return int(address[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """End it and its workers; what it was in the middle of does not matter."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signum)
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    process.wait()


def lives(pid: int) -> bool:
    """Tell whether a process runs: one that has ended does not, whoever has yet to ask for its code."""
    return any(state not in "ZX" for state in _stat(pid)[:1])


def group_ends(group: int, within: float = 5.0) -> bool:
    """Tell whether all processes of a group have ended before so many seconds have passed."""
    until = time.monotonic() + within
    while any(lives(pid) for pid in _group(group)):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _await(process: subprocess.Popen[bytes], port: int, output: int, within: float = 20.0) -> None:
    until = time.monotonic() + within
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > until:
            words = os.pread(output, 100_000, 0).decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"did not start: {words[-1] if words else process.poll()}")
        time.sleep(0.01)


def _answers(port: int) -> bool:
    """Tell whether a request gets bytes back, or at least an end."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            connection.recv(1)
    except OSError:
        return False
    return True


def _group(group: int) -> list[int]:
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [pid for pid in pids if _stat(pid)[2:3] == [str(group)]]


def _stat(pid: int) -> list[str]:
    """Return what stands behind the name of a process, which may hold anything; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parsed(cores: str) -> set[int]:
    found: set[int] = set()
    for part in cores.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found
