"""The kernel change is nearly free: instructions counted by QEMU, which no load on the host changes."""

from __future__ import annotations

from pfstat import ASSIGNMENT

from patchgen.checks import cost, cost_bars, cost_plan
from patchgen.checks.cost import Costs
from patchgen.guest.testbed import Testbed
from patchgen.pipeline import Project


def test_every_bar_is_met(vanilla_bed: Testbed, series_bed: Testbed, project: Project) -> None:
    """One test, since each measures for ten seconds and may have a worker of its own."""
    plan = cost_plan.load(ASSIGNMENT, project.base.name)
    costs = cost.measure(plan, vanilla_bed, series_bed)
    missed = [f"{one.what}: +{one.measured}, at most +{one.limit}" for one in cost_bars.judge(costs) if not one.met]
    assert missed == []
    it_is_the_faults_that_were_measured(costs)
    with cost.guest(vanilla_bed) as guest:
        reuse = next(kind for kind in plan.kind if kind.name == "reuse")
        assert cost.sample(guest, plan, reuse).mode == costs.samples["vanilla"]["reuse"].mode, "the same once more"


def it_is_the_faults_that_were_measured(costs: Costs) -> None:
    """Figures that could not be told from noise, or a tracked program that was not tracked, would meet every bar."""
    for state in costs.samples:
        for kind in costs.plan.kind:
            sample = costs.samples[state][kind.name]
            assert sample.count == kind.count
            if kind.group != "call":
                assert sample.count >= 2048
                assert sample.share > 0.5, (state, kind)
    vanilla = costs.samples["vanilla"]
    assert vanilla["copy"].mode > vanilla["reuse"].mode + 1000, "1,024 words are copied"
    assert vanilla["first"].mode > vanilla["read"].mode + 1000, "and as many cleared"
    assert costs.added("tracked", "reuse") > costs.added("idle", "reuse") + 20, "an actual count takes that"
    assert costs.memory["a tracked name"] > 1000
