"""One measurement of one server: what is done to it, and the figures that come of it.

All figures are of the receivers: messages that were read whole and found right. `user` and `system` are the
server's processor time per message in microseconds, of its whole process tree.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from bench.kit import Kit
from bench.process import Tree

__all__ = ["Failed", "Sample", "latency", "memory", "rate", "reach", "slow"]

Sample: TypeAlias = dict[str, float]
"""Names of figures to figures."""
LEVELS = (10, 50, 90)
"""Percent of what a server can do, at which its latency is measured."""


class Failed(Exception):
    """What the load generator found wrong."""


def rate(kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float) -> Sample:
    """Let the clients do all they can: messages a second, and what one costs the server."""
    result, user, system = _load(kit, tree, arguments, seconds)
    messages = result["messages"]
    sample = {
        "rate": result["rate"],
        "user": 1e6 * user / messages,
        "system": 1e6 * system / messages,
        "p50": result["latency_us"]["p50"],
        "p99": result["latency_us"]["p99"],
    }
    if "probe_us" in result:
        sample["stall p99"] = result["probe_us"]["p99"]
        sample["stall"] = result["probe_us"]["max"]
    return sample


def latency(kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float) -> Sample:
    """Publish at a fixed pace, at three parts of what the server can do.

    The pace does not wait for the server: a delivery's time runs from when its publication was due.
    """
    capacity = _capacity(kit, tree, arguments, seconds)
    sample: Sample = {"capacity": capacity}
    for level in LEVELS:
        paced = (*arguments, "--rate", f"{capacity * level / 100:.2f}")
        result, _, _ = _load(kit, tree, paced, 1.5 * seconds)
        sample[f"p50 at {level} %"] = result["latency_us"]["p50"]
        sample[f"p99 at {level} %"] = result["latency_us"]["p99"]
    return sample


def slow(kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float) -> Sample:
    """Publish at half of what the server can do, to readers alone and past one that never reads."""
    capacity = _capacity(kit, tree, arguments, seconds)
    sample: Sample = {"capacity": capacity}
    paced = (*arguments, "--rate", f"{capacity / 2:.2f}")
    for name, more, times in (("without", (), 1.5), ("one slow", ("--slow",), 4)):
        result, _, _ = _load(kit, tree, (*paced, *more), times * seconds)
        lost = result["late"] / (result["messages"] + result["late"])
        # What did not come within two seconds has no latency; where that is one in a hundred, p99 has none.
        sample[f"p50, {name}"] = result["latency_us"]["p50"] if lost < 0.5 else float("inf")
        sample[f"p99, {name}"] = result["latency_us"]["p99"] if lost < 0.01 else float("inf")
    return sample


def _capacity(kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float) -> float:
    """Return how many publications a second the server can do, one after the other."""
    fastest, _, _ = _load(kit, tree, arguments, seconds)
    return float(fastest["rate"] / fastest["clients"])


def memory(kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float) -> Sample:
    """Hold idle connections: what one of them takes of the server's resident memory."""
    # The first connection brings code and caches with it that the others share.
    _hold([kit.load, "idle", "--port", str(tree.port), *arguments, "--clients", "1"], lambda: None)
    before = tree.rss()
    after = _hold([kit.load, "idle", "--port", str(tree.port), *arguments], lambda: _settled(tree, seconds))
    clients = int(arguments[arguments.index("--clients") + 1])
    return {"bytes": ((after or 0) - before) / clients}


def reach(kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float) -> Sample:
    """Publish to very many; beside the rate, how long an echo on another connection waits."""
    return rate(kit, tree, arguments, 4 * seconds)


def _load(
    kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float
) -> tuple[dict[str, Any], float, float]:
    """Run the load generator; return what it says, and the server's processor time meanwhile."""
    command = [kit.load, *arguments, "--port", str(tree.port), "--seconds", f"{seconds:g}"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    marks: dict[str, tuple[float, float]] = {}
    assert process.stderr is not None and process.stdout is not None
    with process:
        for line in process.stderr:
            marks[line.strip()] = tree.cpu()
        result = _parsed(process.stdout.read())
    user, system = (last - first for first, last in zip(marks["measuring"], marks["measured"], strict=True))
    return result, user, system


def _hold(command: Sequence[str], meanwhile: Callable[[], int | None]) -> int | None:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process:
        held = process.stderr.readline().strip() == "holding"
        found = meanwhile() if held else None
        output, _ = process.communicate()
    _parsed(output)
    return found


def _settled(tree: Tree, seconds: float) -> int:
    time.sleep(seconds)
    return tree.rss()


def _parsed(output: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(output)
    except ValueError:
        raise Failed(f"the load generator said {output!r}") from None
    if result["errors"]:
        raise Failed(str(result["error"]))
    return result
