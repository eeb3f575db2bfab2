"""Servers as process trees, and rows that go on without those that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from bench import run
from bench.__main__ import main
from bench.kit import Kit, Missing, compile_c
from bench.measure import Failed, Sample
from bench.process import Cores, Tree, cores, free_port, group_ends, lives, running
from bench.rows import ROWS
from bench.run import estimate, run_row
from bench.servers import SERVERS, Server

SERVE = "import http.server, sys; http.server.test(port=int(sys.argv[1]), bind='127.0.0.1')"
HERE = Cores(frozenset(os.sched_getaffinity(0)), frozenset(os.sched_getaffinity(0)))
ROW = next(row for row in ROWS if row.name == "fanout-1000")


def command(port: int) -> list[str]:
    """A parent that does nothing, and a child that serves."""
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    return [sys.executable, "-c", parent, SERVE, str(port)]


def all_ended(pids: Sequence[int]) -> bool:
    """Tell whether they end; a grandchild that was told to may take a moment, and nobody waits for it."""
    until = monotonic() + 10
    while any(map(lives, pids)) and monotonic() < until:
        sleep(0.01)
    return not any(map(lives, pids))


def test_cores_differ_where_there_are_two() -> None:
    chosen = cores()
    allowed = os.sched_getaffinity(0)
    assert chosen.server | chosen.client <= allowed
    assert len(chosen.server | chosen.client) == min(2, len(allowed))


def test_a_tree_has_its_children(tmp_path: Path) -> None:
    port = free_port()
    with running(command(port), port, HERE, tmp_path, {}) as tree:
        assert len(tree.pids) == 2
        assert sum(tree.cpu()) > 0
        assert tree.rss() > Tree(tree.pids[1], port).rss() > 1_000_000
        pids = tree.pids
    assert all_ended(pids)


def test_a_group_has_ended_when_nobody_runs_in_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as one:
        assert not group_ends(one.pid, within=0.05)
        one.kill()
        # Its code was not asked for yet.
        assert group_ends(one.pid)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not start: ValueError: no"):
        with running([sys.executable, "-c", "raise ValueError('no')"], free_port(), HERE, tmp_path, {}):
            pass


def test_a_row_goes_on_without_those_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    def measured(kit: Kit, tree: Tree, arguments: Sequence[str], seconds: float) -> Sample:
        name = next(name for name, port in ports.items() if port == tree.port)
        turns.append(name)
        if name == "starlette" and turns.count(name) == 2:
            raise Failed("client 1 was cut off")
        return {"rate": 1.0}

    ports: dict[str, int] = {}

    def served(name: str) -> Server:
        def start(kit: Kit, port: int, wants: str) -> list[str]:
            ports[name] = port
            return command(port)

        return replace(SERVERS[name], command=start)

    monkeypatch.setattr(run, "SERVERS", {name: served(name) for name in ROW.servers})
    monkeypatch.setattr(run, "rate", lambda *_: {})
    kit = Kit()
    kit.missing["bun"] = "npm is not there"
    told: list[str] = []
    outcomes = run_row(
        kit, replace(ROW, measure=measured), ["longwave", "starlette", "crossws-bun"], 3, 1, HERE, told.append
    )
    assert turns == ["longwave", "starlette", "starlette", "longwave", "longwave"], "the order turns"
    assert len(outcomes["longwave"].samples) == 3
    assert outcomes["starlette"].error == "client 1 was cut off"
    assert len(outcomes["starlette"].samples) == 1
    assert outcomes["crossws-bun"].error == "npm is not there"
    assert len(told) == 1


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(Missing, match="no C compiler"):
        compile_c(tmp_path / "load.c", tmp_path / "load")
    kit = Kit(folder=tmp_path / "kit")
    kit.prepare(["node", "cc"], lambda _: None)
    assert set(kit.missing) == {"node", "cc"}


def test_the_estimate_grows_with_everything() -> None:
    once = estimate([ROW], (), 1, 1)
    assert estimate([ROW], (), 2, 1) > once > estimate([ROW], ("longwave",), 1, 1) > 0
    assert estimate([ROW], (), 1, 2) > once


def test_a_peer_that_there_is_not_is_named() -> None:
    with pytest.raises(SystemExit, match="no peer nobody; there are longwave"):
        main(["echo-32", "--peers", "starlette,nobody"])
