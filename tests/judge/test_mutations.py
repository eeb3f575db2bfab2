"""The judge against a model: it acquits all that is as promised, and misses no single change of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import FULL
from tests.judge.checker import judge
from tests.judge.mutations import MUTATIONS, mutated
from tests.judge.simulation import RECOVER, SETTLE, simulate
from tests.judge.verdicts import Outcome, Rules

RULES = Rules(SETTLE, RECOVER)


@settings(max_examples=5000 if FULL else 60)
@given(st.integers(0, 2**32))
def test_what_is_as_promised_is_acquitted(seed: int) -> None:
    judgment = judge(simulate(seed), RULES)
    assert not judgment.convictions, judgment


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_single_change_is_convicted_of_the_right_crime(name: str, length: Callable[[int], int]) -> None:
    applied = 0
    for seed in range(length(100)):
        changed = mutated(simulate(seed), MUTATIONS[name], Random(seed))
        if changed is not None:
            applied += 1
            judgment = judge(changed[0], RULES)
            assert changed[1] in judgment.crimes, f"{name}, seed {seed}\n{judgment}"
            assert any(conviction.excerpt for conviction in judgment.convictions)
    assert applied


def test_the_model_makes_every_outcome() -> None:
    outcomes: Counter[Outcome] = Counter()
    for seed in range(40):
        outcomes += judge(simulate(seed), RULES).outcomes
    assert set(outcomes) == set(Outcome) - {Outcome.NOT_CONCERNED}
