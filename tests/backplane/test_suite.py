"""The backplane suite over every driver: one entry of `RIGS` each."""

from __future__ import annotations

import pytest

from longwave.testing.backplane_faults import BackplaneFaultSuite
from longwave.testing.backplane_suite import BackplaneSuite
from longwave.testing.backplanes import BackplaneRig, MemoryRig
from tests.backplane.lossy import LossyRig
from tests.backplane.workers_rig import WorkersRig

RIGS: dict[str, type[BackplaneRig]] = {
    "memory": MemoryRig,
    "lossy": LossyRig,
    "workers": WorkersRig,
}


class TestBackplanes(BackplaneSuite):
    @pytest.fixture(params=RIGS)
    def rig(self, request: pytest.FixtureRequest) -> BackplaneRig:
        return RIGS[request.param]()


class TestFaults(BackplaneFaultSuite):
    @pytest.fixture(params=[name for name, rig in RIGS.items() if rig.faults])
    def rig(self, request: pytest.FixtureRequest) -> BackplaneRig:
        return RIGS[request.param]()
