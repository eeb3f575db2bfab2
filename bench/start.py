"""`python -m bench.start`: the time to import Longwave, and from its command to its first answer.

Beside it uvicorn with a Starlette app of the same one route. Each row is the median and the best of
`--rounds` processes, taken in turns. The bytecode of all of them is written once and used from then on,
whatever PYTHONDONTWRITEBYTECODE says. `--python` names an interpreter that has everything installed, in
place of this one.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.process import free_port

__all__ = ["main"]

PATIENCE = 30.0
"""Seconds for a first answer."""
PAUSE = 0.0005
"""Seconds between two attempts to connect."""
REQUEST = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"

ROUTE = """\
def get(event):
    return "Hello"
"""
STARLETTE = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def hello(request):
    return PlainTextResponse("Hello")


app = Starlette(routes=[Route("/", hello)])
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.start", description="Time to start.")
    parser.add_argument("--rounds", type=int, default=11, help="processes of each row")
    parser.add_argument("--python", action="append", metavar="PATH", help="an interpreter; may be repeated")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        routes = Path(folder, "project", "src", "server", "routes")
        routes.mkdir(parents=True)
        (routes / "index.get.py").write_text(ROUTE)
        Path(folder, "starlette_app.py").write_text(STARLETTE)
        for python in map(os.path.abspath, options.python or [sys.executable]):
            shown = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
            print(f"{python} ({shown.stdout.strip()})\n")
            report(measure(python, Path(folder), options.rounds))


def measure(python: str, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every round by row; one round before them writes the bytecode."""
    rows: dict[str, Callable[[], float]] = {
        "import longwave": lambda: imported(python, "longwave", folder),
        "import uvicorn, starlette": lambda: imported(python, "uvicorn, starlette.applications", folder),
        "longwave start: first answer": lambda: answer(
            [str(Path(python).with_name("longwave")), "start", "project", "--host", "127.0.0.1"], folder
        ),
        "uvicorn, Starlette: first answer": lambda: answer(
            [python, "-m", "uvicorn", "starlette_app:app", "--no-access-log"], folder
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(rounds + 1):
        for name, take in rows.items():
            seconds = take()
            if number:
                times[name].append(seconds)
    return times


def report(times: dict[str, list[float]]) -> None:
    """Print the rows in milliseconds."""
    print(f"{'':34} {'median':>8} {'best':>8}")
    for name, seconds in times.items():
        print(f"{name:34} {statistics.median(seconds) * 1000:5.0f} ms {min(seconds) * 1000:5.0f} ms")
    print()


def imported(python: str, names: str, folder: Path) -> float:
    """Return the seconds that an import takes in a fresh interpreter."""
    code = f"import time; began = time.perf_counter(); import {names}; print(time.perf_counter() - began)"
    command = [python, "-c", code]
    run = subprocess.run(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, check=True)
    return float(run.stdout)


def answer(command: list[str], folder: Path) -> float:
    """Return the seconds from the start of a server to the first byte of its first answer, a 200."""
    port = free_port()
    began = time.perf_counter()
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
                break
            except OSError:
                if server.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise
                time.sleep(PAUSE)
        with connection:
            connection.sendall(REQUEST)
            line = connection.recv(12)
        seconds = time.perf_counter() - began
        if line != b"HTTP/1.1 200":
            raise RuntimeError(f"expected a 200, found {line!r}")
        return seconds
    finally:
        server.terminate()
        server.wait()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment, with bytecode that is written for this measurement alone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


if __name__ == "__main__":
    main()
