"""Running all scenarios: which starts when, and in which order outcomes come."""

from __future__ import annotations

from typing import cast

from pfstat import SUITE

from patchgen.findings import Result
from patchgen.guest.testbed import Testbed
from patchgen.testing import runner
from patchgen.testing.lab import Scenario
from patchgen.testing.runner import Outcome
from patchgen.testing.suite import Suite


def test_the_long_ones_start_first_and_outcomes_come_in_order() -> None:
    names = ("one", "two", "three")
    scenarios = [Scenario(name, ("2.1-1",), lambda _: None, name, long=name == "three") for name in names]
    started, told = list[str](), list[str]()

    def run(scenario: Scenario, _bed: Testbed, _suite: Suite) -> Outcome:
        started.append(scenario.name)
        return Outcome(scenario, Result.PASS, "", "", 0.1)

    bed = cast("Testbed", None)
    outcomes = runner.run_all(scenarios, bed, SUITE, 1, run, lambda one: told.append(one.scenario.name))
    assert started == ["three", "one", "two"]
    assert tuple(told) == tuple(one.scenario.name for one in outcomes) == names
