"""Whether others keep the machine busy: the arithmetic, and that our own processes are no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import machine as module
from tests.e2e.machine import Machine, Usage, others


def test_share_of_others() -> None:
    before = Usage(clock=10, all=50, ours=5)
    assert others(before, Usage(clock=20, all=65, ours=15), 2) == pytest.approx(0.25)
    assert others(before, Usage(clock=20, all=60, ours=15), 2) == 0


@pytest.mark.parametrize(("all_", "crowded"), [(11.5, False), (13.0, True)])
def test_a_tenth_is_a_crowd(monkeypatch: pytest.MonkeyPatch, all_: float, crowded: bool) -> None:
    monkeypatch.setattr(module, "_usage", lambda: Usage(0, 0, 0))
    machine = Machine()
    processors = os.cpu_count() or 1
    monkeypatch.setattr(module, "_usage", lambda: Usage(10, all_ * processors, 10.75 * processors))
    assert machine.is_crowded() is crowded


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs /proc")
def test_what_we_start_is_ours() -> None:
    busy = "import time\nwhile time.process_time() < {}: pass\nprint(flush=True)\ninput()"
    before = module._usage()
    # One that has ended, and one that is there still, started by another.
    subprocess.run([sys.executable, "-c", busy.format(0.2)], input=b"\n", check=True)
    nested = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy.format(0.2)!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        after = module._usage()
        process.stdin.write(b"\n")
        process.stdin.close()
    assert after.ours - before.ours >= 0.35
    assert after.all - before.all >= 0.35
