"""Run harnesses under atheris: `python -m fuzz [--seconds 60] [names]`, and what else `--help` says.

What libFuzzer finds stays in `.fuzz/<harness>/`, outside of version control: its corpus, which the next run
begins with, and the inputs that broke an invariant. Those are also printed as Python literals.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from fuzz.corpus import FOLDER, dictionary_file, load, names

__all__ = ["main"]

WORK = FOLDER.parent / ".fuzz"
LONGEST = 4096
"""Bytes of an input."""
SLOWEST = 10
"""Seconds for one input; more is a defect."""
MEMORY = 1024
"""MiB for one harness; more is a defect."""


def main(arguments: list[str]) -> int:
    """Run what the command line says; return 1 when an input broke an invariant."""
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description="Fuzz what reads bytes from strangers."
    )
    parser.add_argument("names", nargs="*", metavar="harness", help=f"all, or some of {', '.join(names())}")
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (60)")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="give files to one harness")
    parser.add_argument(
        "--merge", action="store_true", help="add to the seeds what reaches more than they do"
    )
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(names()))
    if unknown:
        parser.error(f"no harness is called {', '.join(unknown)}; there are {', '.join(names())}")
    chosen = options.names or names()
    if options.child is not None:
        _fuzz(chosen[0], options.child)
    if options.replay:
        if len(chosen) != 1:
            parser.error("--replay wants the name of one harness")
        for path in options.replay:
            load(chosen[0])(path.read_bytes())
            print(f"{path}: nothing is wrong")
        return 0
    if options.merge:
        return max(_merge(name) for name in chosen)
    # All are run, whatever the first ones find.
    return max([_run(name, options.seconds) for name in chosen])


def _fuzz(name: str, arguments: list[str]) -> None:
    """Be the process in which one harness runs; never returns."""
    import atheris

    with atheris.instrument_imports(include=["longwave"]):
        check = load(name)
    # libFuzzer gives its first argument to a shell when it starts itself again, as it does to merge.
    atheris.Setup([f"{shlex.quote(sys.executable)} -m fuzz {name} --child", *arguments], check)
    atheris.Fuzz()


def _run(name: str, seconds: int) -> int:
    folder = _folder(name)
    before = set(folder.glob("found/*"))
    command = _command(name, f"-max_total_time={seconds}", f"-artifact_prefix={folder}/found/")
    command += [str(folder / "corpus"), str(FOLDER / "seeds" / name)]
    began = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        status = subprocess.run(command, cwd=FOLDER.parent, stdout=log, stderr=subprocess.STDOUT).returncode
    text = (folder / "log.txt").read_text(errors="replace")
    counts = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+) .*corp: (\d+)", text)
    runs, places, inputs = counts[-1] if counts else ("0", "0", "0")
    took = f"{time.monotonic() - began:.0f} s"
    print(f"{name:12}  {took:>6}  {runs:>9} runs  {places:>5} places  {inputs:>5} inputs", flush=True)
    if status == 0:
        return 0
    print(f"{name}: an invariant does not hold; from {folder / 'log.txt'}:")
    report = text.split("=== Uncaught Python exception: ===")[-1].split("\nSUMMARY: ")[0]
    print("\n".join(report.strip().splitlines()[-40:]))
    for path in sorted(set(folder.glob("found/*")) - before):
        print(f"{name}: the input is {path}, or\ndata = {path.read_bytes()!r}")
        print(f"{name}: again with: python -m fuzz {name} --replay {path}", flush=True)
    return 1


def _merge(name: str) -> int:
    folder = _folder(name)
    arguments = _command(name, "-merge=1", str(FOLDER / "seeds" / name), str(folder / "corpus"))
    return subprocess.run(arguments, cwd=FOLDER.parent).returncode


def _command(name: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "fuzz", name, "--child", f"-max_len={LONGEST}"]
    command += [f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}"]
    words = dictionary_file(name)
    if words is not None:
        command.append(f"-dict={words}")
    return [*command, *arguments]


def _folder(name: str) -> Path:
    """Return the folder of what a harness finds; git does not look into it."""
    folder = WORK / name
    for inner in ("corpus", "found"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    (WORK / ".gitignore").write_text("*\n")
    return folder
