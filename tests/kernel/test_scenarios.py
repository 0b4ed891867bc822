"""What the kernel must do, on each base that is at hand; and that an unpatched kernel does none of it."""

from __future__ import annotations

import pytest

from patchgen import runner
from patchgen.pipeline import Project
from patchgen.scenarios import SCENARIOS, Scenario
from patchgen.testbed import Testbed

EACH = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.name))


@EACH
def test_the_series(scenario: Scenario, series_bed: Testbed, project: Project) -> None:
    outcome = runner.run_one(scenario, series_bed, str(project.series.parameters["log_prefix"]))
    assert outcome.passed, f"{outcome.message}\n{outcome.evidence}"


@EACH
def test_the_series_on_the_second_base(scenario: Scenario, second_bed: Testbed, second_project: Project) -> None:
    outcome = runner.run_one(scenario, second_bed, str(second_project.series.parameters["log_prefix"]))
    assert outcome.passed, f"{outcome.message}\n{outcome.evidence}"


@EACH
def test_an_unpatched_kernel_fails(scenario: Scenario, vanilla_bed: Testbed, project: Project) -> None:
    """The negative control: each scenario must notice that the calls are not there."""
    outcome = runner.run_one(scenario, vanilla_bed, str(project.series.parameters["log_prefix"]))
    assert not outcome.passed
    assert "ENOSYS" in outcome.message or "not implemented" in outcome.message
