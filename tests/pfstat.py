"""The assignment that most tests are about, loaded once."""

from __future__ import annotations

from patchgen import assignment
from patchgen.checks import cost_plan
from patchgen.series import model as series
from patchgen.testing import suite
from patchgen.testing.suite import Suite


def suite_of(name: str) -> Suite:
    """Return the scenarios of an assignment that comes with the program."""
    chosen = assignment.load(name)
    return suite.load(chosen, series.load(chosen.directory).parameters)


SUITE = suite_of("pf_stat")
ASSIGNMENT = SUITE.assignment
REQUIREMENTS = ASSIGNMENT.requirements
SCENARIOS = SUITE.scenarios
COSTS = cost_plan.load(ASSIGNMENT)
