"""What the benchmark is made of: the C programs, an environment with the Python peers, one with those of npm.

All of it lives in `.bench/`, is made once, and made anew when what it is made from is newer. A part that
cannot be had is no failure: `Missing` says why, and the rows of those peers say it as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

__all__ = ["PEERS", "ROOT", "Kit", "Missing", "compile_c"]

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench" / "peers"
LOAD = ROOT / "bench" / "load"
SCRIPTS = ("*.mjs", "package.json", "package-lock.json")


class Missing(Exception):
    """A part that is not there, and why."""


class Kit:
    """The parts, by where they are; `prepare` makes them.

    `python` is the interpreter of every Python server, Longwave's too: each has an environment of its own.
    """

    def __init__(self, python: str = sys.executable, folder: Path = ROOT / ".bench") -> None:
        self.folder = folder
        self.interpreter = python
        # Two interpreters may have the same name, and one as fast again as the other.
        self.venv = folder / f"venv-{crc32(str(Path(python).resolve()).encode()):08x}"
        self.node_folder = folder / "node"
        self.missing: dict[str, str] = {}

    @property
    def load(self) -> str:
        """The load generator."""
        return str(self.folder / "load")

    @property
    def limit(self) -> str:
        """The server that is nothing but system calls."""
        return str(self.folder / "limit")

    @property
    def node(self) -> str:
        """Node.js, as it is installed on this machine."""
        return str(shutil.which("node"))

    @property
    def bun(self) -> str:
        """Bun, as npm brought it."""
        return str(self.node_folder / "node_modules" / ".bin" / "bun")

    def python(self, name: str = "python") -> str:
        """Return a command of the environment of the Python peers."""
        return str(self.venv / "bin" / name)

    def prepare(self, parts: Sequence[str], tell: Callable[[str], None]) -> None:
        """Make `cc`, `python`, `node` and `bun`, as far as asked for; what fails is noted in `missing`."""
        self.folder.mkdir(exist_ok=True)
        makers = {"cc": self._compile, "python": self._install, "node": self._npm, "bun": self._npm}
        for part in parts:
            try:
                makers[part](tell)
            except Missing as missing:
                self.missing[part] = str(missing)
                tell(f"{part}: {missing}")

    def versions(self) -> dict[str, str]:
        """Return the version of everything that is there."""
        found: dict[str, str] = {}
        if "python" not in self.missing and Path(self.python()).exists():
            listed = _run([self.python(), "-m", "pip", "list", "--format=json"])
            found |= {item["name"]: item["version"] for item in json.loads(listed)}
        for file in (self.node_folder / "node_modules").glob("*/package.json"):
            package = json.loads(file.read_text())
            found[package["name"]] = package["version"]
        if shutil.which("node"):
            found["node"] = _run([self.node, "--version"]).strip().removeprefix("v")
        if shutil.which("cc"):
            found["cc"] = _run(["cc", "--version"]).splitlines()[0].split()[-1]
        return found

    def _compile(self, tell: Callable[[str], None]) -> None:
        for name in ("load", "limit"):
            compile_c(LOAD / f"{name}.c", self.folder / name)

    def _install(self, tell: Callable[[str], None]) -> None:
        wanted = (PEERS / "requirements.txt", ROOT / "pyproject.toml")
        stamp = self.venv / ".done"
        if _newer(stamp, *wanted):
            return
        tell(f"installing the Python peers into {self.venv.relative_to(ROOT)}")
        if not Path(self.python()).exists():
            _run([self.interpreter, "-m", "venv", str(self.venv)])
        _run([self.python(), "-m", "pip", "install", "-q", "-r", str(wanted[0]), "-e", str(ROOT)])
        stamp.touch()

    def _npm(self, tell: Callable[[str], None]) -> None:
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            raise Missing("Node.js with npm is not installed")
        self.node_folder.mkdir(exist_ok=True)
        stamp = self.node_folder / ".done"
        fresh = _newer(stamp, PEERS / "package-lock.json")
        # A script finds its packages beside itself, and they are not to be in the repository.
        for file in (file for pattern in SCRIPTS for file in PEERS.glob(pattern)):
            shutil.copyfile(file, self.node_folder / file.name)
        if fresh:
            return
        tell(f"installing the peers of npm into {self.node_folder.relative_to(ROOT)}")
        _run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], self.node_folder)
        stamp.touch()


def compile_c(source: Path, program: Path) -> None:
    """Compile a program, unless it is there and newer than its source."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Missing("there is no C compiler")
    if not _newer(program, source):
        _run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)])


def _newer(made: Path, *sources: Path) -> bool:
    return made.exists() and all(made.stat().st_mtime >= source.stat().st_mtime for source in sources)


def _run(command: Sequence[str], cwd: Path = ROOT) -> str:
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{Path(command[0]).name} {command[1]} failed: {' '.join(last)}")
    return done.stdout
