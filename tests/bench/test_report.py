"""Medians, ratios, verdicts and the page, from samples that are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.figures import Figure, figure, ratio
from bench.measure import Sample
from bench.plots import draw
from bench.report import page, shown, summary, write
from bench.results import Outcome, Results
from bench.rows import ROWS, Row

ECHO = next(row for row in ROWS if row.name == "echo-32")
MEMORY = next(row for row in ROWS if row.name == "memory-websocket")


def outcome(*rates: float, error: str = "") -> Outcome:
    samples: dict[int, Sample] = {
        number: {"rate": rate, "user": 1e5 / rate, "system": 2.0, "p50": 100.0, "p99": 1500.0}
        for number, rate in enumerate(rates)
    }
    return Outcome(samples, error)


@pytest.fixture
def results() -> Results:
    facts = {"date": "2026-01-02", "machine": "a machine", "interpreter": "CPython 3",
             "versions": {"uvicorn": "0.1", "starlette": "0.2", "left-out": "9"}}  # fmt: skip
    echo = {
        "longwave": outcome(60_000, 90_000, 30_000),
        "starlette": outcome(20_000, 30_000, 10_000),
        "crossws-bun": outcome(60_000, 120_000, 60_000),
        "crossws-node": Outcome(error="Node.js with npm | is not\ninstalled"),
        "picows": outcome(100_000, error="client 3 was cut off"),
    }
    return Results(facts, {"echo-32": echo, MEMORY.name: {"longwave": Outcome({0: {"bytes": 4096.0}})}})


def line(text: str, *words: str) -> str:
    (found,) = [each for each in text.splitlines() if all(word in each for word in words)]
    return found


def test_quartiles() -> None:
    assert figure([]) is None
    assert figure([3.0]) == Figure(3, 3, 3, 1)
    assert figure([1, 2, 3, 4, 100]) == Figure(3, 2, 4, 5)
    assert figure([1, float("inf"), 2]) == Figure(2, 1, float("inf"), 3)


def test_a_ratio_is_that_of_the_same_round() -> None:
    ours: dict[int, Sample] = {0: {"rate": 10, "p99": 5}, 1: {"rate": 100, "p99": 50}, 2: {"rate": 7}}
    theirs: dict[int, Sample] = {0: {"rate": 5, "p99": 10}, 1: {"rate": 50, "p99": 100}}
    assert ratio(ours, theirs, "rate") == Figure(2, 2, 2, 2)
    assert ratio(ours, theirs, "p99") == Figure(2, 2, 2, 2), "less is better: the other way round"
    assert ratio(ours, {}, "rate") is None


def test_targets_are_judged(results: Results) -> None:
    text = page(results)
    assert line(text, "64 clients, 32 B", "Starlette", "3 x").endswith("| 3.00 [3.00-3.00] | met |")
    assert line(text, "32 B", "Bun", "0.7 x").endswith("| 0.75 [0.62-0.88] | met |")
    assert line(text, "32 B", "picows", "0.8 x").endswith("| 0.60 [0.60-0.60] | **not met** |")
    assert line(text, "32 B", "Node", "1.5 x").endswith("|  | not measured |")
    assert line(text, "idle WebSockets", "at most").endswith(
        "| 6.0 KB | 3.0 KB | 4.0 KB [4.0 KB-4.0 KB] | met |"
    )


def test_a_row_has_its_figures(results: Results) -> None:
    found = line(page(results), "| Starlette on uvicorn | 2")
    assert "| 20.0 k [15.0 k-25.0 k] | 5.00 µs [4.17 µs-7.50 µs] | 2.00 µs [2.00 µs-2.00 µs] |" in found
    assert found.endswith("| 100 µs [100 µs-100 µs] | 1.5 ms [1.5 ms-1.5 ms] | 3.00 [3.00-3.00] |")


def test_a_peer_that_failed_says_so(results: Results) -> None:
    text = page(results)
    assert "| Node.js with npm / is not installed |" in line(text, "crossws on Node", "npm")
    assert line(text, "| picows | 100.0 k").endswith("(failed later: client 3 was cut off) |")
    assert "failed: client 3 was cut off" in summary(ECHO, results.rows["echo-32"], 1)


def test_the_page_names_machine_and_versions(results: Results) -> None:
    text = page(results)
    assert "2026-01-02; a machine; CPython 3. starlette 0.2, uvicorn 0.1." in text


def test_what_never_came_is_shown() -> None:
    assert shown(figure([float("inf")] * 3), "p99, one slow") == "∞ [∞-∞]"
    assert shown(None, "rate") == "-"


def test_results_are_kept(tmp_path: Path, results: Results) -> None:
    file = tmp_path / "new" / "results.json"
    results.save(file)
    again = Results.load(file)
    assert again == results
    assert Results.load(tmp_path / "none.json") == Results()
    write(tmp_path / "results.md", again, [tmp_path / "plots" / "speed.png"])
    assert "![speed](plots/speed.png)" in (tmp_path / "results.md").read_text()


def test_pictures(tmp_path: Path, results: Results) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra `bench`")
    readme = tmp_path / "images" / "speed.png"
    made = draw(results, tmp_path / "plots", readme)
    assert [file.name for file in made] == ["speed.png", "processor.png"]
    assert made[0] == readme
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in made)


def names(row: Row) -> set[str]:
    return {target.against for target in row.targets} | {row.subject}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_who_is_compared_takes_part(row: Row) -> None:
    assert names(row) <= set(row.servers)
