"""The soak run: its judge is strict, and a minute of it leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.soak.report import COUNTED, Sample, judge, plot, write
from bench.soak.run import Result, Size, soak
from tests.e2e.wire import measured

MIB = 1024 * 1024
NOTHING = dict.fromkeys(COUNTED, 1)


def samples(grow: float = 0.0, **growing: float) -> list[Sample]:
    """Return a run of 100 s with 50 connections a second; `grow` is bytes a second."""
    return [
        Sample(
            float(second),
            int(100 * MIB + (20 * MIB if second > 20 else second * MIB) + grow * second + second % 7 * 1000),
            50 * second,
            {name: int(500 + second % 5 + growing.get(name, 0) * second) for name in COUNTED},
        )
        for second in range(1, 101)
    ]


def test_a_level_run_is_good() -> None:
    verdict = judge(samples(), NOTHING, NOTHING)
    assert verdict.faults == []
    assert verdict.churned == pytest.approx(50 * 66, abs=200)
    assert abs(verdict.slope) < 20_000


def test_memory_that_grows_is_found() -> None:
    # A kilobyte for each connection.
    verdict = judge(samples(grow=50 * 1024), NOTHING, NOTHING)
    assert len(verdict.faults) == 1
    assert "memory grew" in verdict.faults[0]
    assert verdict.slope == pytest.approx(60 * 50 * 1024, rel=0.05)


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_left_or_grows_is_found(name: str) -> None:
    verdict = judge(samples(), NOTHING, {**NOTHING, name: 2})
    assert verdict.leaks == {name: 1}
    assert verdict.faults == [f"+1 {name} are left"]
    assert any(f"{name} grew" in fault for fault in judge(samples(**{name: 5.0}), NOTHING, NOTHING).faults)


def test_the_page_and_the_picture(tmp_path: Path) -> None:
    run = samples()
    page = tmp_path / "results" / "soak.md"
    verdict = judge(run, NOTHING, {**NOTHING, "tasks": 3})
    write(page, verdict, run, {"length": "100 s"}, "soak.png")
    text = page.read_text()
    assert "| length | 100 s |" in text
    assert "| tasks left over | 2 |" in text
    assert "| verdict | +2 tasks are left |" in text
    pytest.importorskip("matplotlib", reason="the extra `bench` has matplotlib")
    assert plot(tmp_path / "soak.png", run)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def check(result: Result) -> None:
    measured("connections", result.opened)
    measured("bytes grown", result.verdict.grown)
    assert result.verdict.faults == []
    assert result.came > 0


@pytest.mark.timeout(60)
def test_a_moment_of_it() -> None:
    """Too short to judge memory, and long enough for every rudeness to come a few times."""
    result = soak(Size(seconds=3, websockets=100, streams=30))
    assert result.verdict.leaks == {}
    check(replace(result, verdict=judge(result.samples[-1:], NOTHING, NOTHING)))
    assert result.came > 100


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_minute_of_it() -> None:
    check(soak(Size(seconds=60)))
