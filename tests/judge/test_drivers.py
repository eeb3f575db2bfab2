"""The judge over hubs in this process: it acquits good drivers, and convicts those broken on purpose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from longwave.testing.backplanes import MemoryRig
from tests.backplane.lossy import LossyRig
from tests.judge.broken import BROKEN, BrokenRig
from tests.judge.checker import judge
from tests.judge.hubs import run_hubs
from tests.judge.verdicts import Crime, Outcome, Rules
from tests.judge.workload import Size, plan

RULES = Rules(settle=0.05, recover=0.05)
SIZE = Size(seconds=3.0, deeds=2.0)
FAULTS = Size(seconds=8.0, receivers=6, faults=("cut", "pause", "kill"))

CRIMES = {
    "Drops": Crime.SILENT_LOSS,
    "Doubles": Crime.DUPLICATE,
    "Reorders": Crime.REORDER,
    "Corrupts": Crime.CORRUPT,
    "Misdelivers": Crime.WRONG_TOPIC,
    "Invents": Crime.PHANTOM,
    "Echoes": Crime.DUPLICATE,
    "ConfirmsTooEarly": Crime.SILENT_LOSS,
    "ForgetsOthers": Crime.SILENT_LOSS,
}


def test_a_good_driver_is_acquitted(length: Callable[[int], int]) -> None:
    outcomes: Counter[Outcome] = Counter()
    for seed in range(length(30)):
        judgment = judge(run_hubs(MemoryRig(), seed, SIZE, RULES), RULES)
        assert not judgment.convictions, f"seed {seed}\n{judgment}"
        outcomes += judgment.outcomes
    assert set(outcomes) <= {Outcome.DELIVERED, Outcome.EDGE}
    assert outcomes[Outcome.DELIVERED] > 500 + 3 * outcomes[Outcome.EDGE]


def test_a_driver_that_counts_what_it_loses_is_acquitted(length: Callable[[int], int]) -> None:
    outcomes: Counter[Outcome] = Counter()
    for seed in range(length(20)):
        judgment = judge(run_hubs(LossyRig(), seed, FAULTS, RULES), RULES)
        assert not judgment.convictions, f"seed {seed}\n{judgment}"
        outcomes += judgment.outcomes
    assert outcomes[Outcome.COUNTED] > 0


def test_one_that_does_not_count_is_convicted(length: Callable[[int], int]) -> None:
    for seed in range(length(10)):
        judgment = judge(run_hubs(BrokenRig(LossyRig(), BROKEN["CountsNothing"]), seed, FAULTS, RULES), RULES)
        assert set(judgment.crimes) == {Crime.SILENT_LOSS}
        assert "counters say 0" in str(judgment)


@pytest.mark.parametrize("name", CRIMES)
def test_a_driver_that_is_broken_on_purpose_is_convicted(name: str, length: Callable[[int], int]) -> None:
    crimes: Counter[Crime] = Counter()
    for seed in range(length(20)):
        judgment = judge(run_hubs(BrokenRig(MemoryRig(), BROKEN[name], 20), seed, SIZE, RULES), RULES)
        crimes += judgment.crimes
    assert CRIMES[name] in crimes


def test_one_publication_is_enough() -> None:
    """One that one node misses, in the whole run."""
    judgment = judge(run_hubs(BrokenRig(MemoryRig(), BROKEN["Drops"], 75), 1, SIZE, RULES), RULES)
    assert set(judgment.crimes) == {Crime.SILENT_LOSS}
    assert len({conviction.id for conviction in judgment.convictions}) == 1
    assert judgment.outcomes[Outcome.DELIVERED] > 400


def test_the_same_in_real_time() -> None:
    logs = run_hubs(MemoryRig(), 1, Size(seconds=0.2, rate=50.0), RULES, real_time=True)
    # A busy machine may take its time.
    judgment = judge(logs, Rules(settle=10.0))
    assert not judgment.convictions, judgment
    assert judgment.outcomes[Outcome.DELIVERED] > 10


def test_a_seed_makes_the_same_run_each_time() -> None:
    assert plan(7, ("a", "b"), FAULTS) == plan(7, ("a", "b"), FAULTS) != plan(8, ("a", "b"), FAULTS)
    first, second = (run_hubs(MemoryRig(), 7, Size(seconds=1.0), RULES) for _ in range(2))
    assert first == second
