"""The suite has to fail for drivers that are broken on purpose."""

from __future__ import annotations

import pytest

from longwave.testing import backplanes
from longwave.testing.backplane_faults import BackplaneFaultSuite
from longwave.testing.backplane_suite import BackplaneSuite
from longwave.testing.backplanes import BackplaneRig, MemoryRig
from tests.backplane.lossy import LossyRig
from tests.judge.broken import BROKEN, BrokenRig

FAILS = {
    "Drops": "test_closing_while_publications_are_on_their_way",
    "Doubles": "test_the_order_of_a_publisher_is_kept",
    "Reorders": "test_closing_while_publications_are_on_their_way",
    "Corrupts": "test_namespaces_are_kept_apart",
    "Misdelivers": "test_topics_are_not_taken_for_one_another",
    "Invents": "test_a_publication_reaches_every_other_node_once",
    "Echoes": "test_a_publication_reaches_every_other_node_once",
    "ConfirmsTooEarly": "test_nothing_is_lost_right_after_a_subscription",
    "ForgetsOthers": "test_what_nobody_listens_to_is_not_carried",
    "NeverUnwatches": "test_what_nobody_listens_to_is_not_carried",
    "CountsNothing": "test_a_node_that_is_cut_off",
}


@pytest.mark.parametrize("name", FAILS)
def test_a_broken_driver_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backplanes, "PATIENCE", 0.05)
    suite = BackplaneFaultSuite() if name == "CountsNothing" else BackplaneSuite()
    inner: BackplaneRig = LossyRig() if name == "CountsNothing" else MemoryRig()
    test = getattr(suite, FAILS[name])
    with pytest.raises(AssertionError):
        test(BrokenRig(inner, BROKEN[name], 1 if name in ("Corrupts", "Invents", "Echoes") else 10))


def test_every_crime_has_its_test() -> None:
    assert set(FAILS) == set(BROKEN)
