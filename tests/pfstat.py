"""The assignment that most tests are about, loaded once."""

from __future__ import annotations

from patchgen import assignment
from patchgen.checks import cost_plan
from patchgen.series import model as series
from patchgen.testing import suite

ASSIGNMENT = assignment.load("pf_stat")
REQUIREMENTS = ASSIGNMENT.requirements
SUITE = suite.load(ASSIGNMENT, series.load(ASSIGNMENT.directory).parameters)
SCENARIOS = SUITE.scenarios
COSTS = cost_plan.load(ASSIGNMENT)
