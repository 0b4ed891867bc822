"""What the kernel must do, on each base that is at hand; and that an unpatched kernel does none of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pfstat import SCENARIOS, SUITE

from patchgen.guest.session import Guest
from patchgen.guest.testbed import Testbed
from patchgen.pipeline import Project
from patchgen.testing import runner
from patchgen.testing.lab import Scenario

EACH = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.name))


@EACH
def test_the_series(scenario: Scenario, series_bed: Testbed, project: Project) -> None:
    outcome = runner.run_one(scenario, series_bed, SUITE)
    assert outcome.passed, f"{outcome.message}\n{outcome.evidence}"


@EACH
def test_the_series_on_the_second_base(scenario: Scenario, second_bed: Testbed, second_project: Project) -> None:
    outcome = runner.run_one(scenario, second_bed, SUITE)
    assert outcome.passed, f"{outcome.message}\n{outcome.evidence}"


# Removes what was not there at first.
_TIDY = 'first=$(cat /first); for i in *; do case "$first" in *"|$i|"*) ;; *) rm -r "./$i" ;; esac; done'


@dataclasses.dataclass(frozen=True)
class OneGuest(Testbed):
    """A testbed that has one guest for all: on a kernel without the calls nothing is left of a scenario but files."""

    guest: Guest | None = None

    @contextmanager
    def ready(self) -> Iterator[Guest]:
        """Give the guest."""
        assert self.guest
        yield self.guest
        assert self.guest.run(_TIDY).status == 0


@pytest.fixture(scope="module")
def control_bed(vanilla_bed: Testbed) -> Iterator[Testbed]:
    """Return the testbed of the unpatched kernel for the negative control."""
    with vanilla_bed.ready() as guest:
        assert guest.run("printf '|%s' * '' > /first").status == 0
        yield OneGuest(**vars(vanilla_bed), guest=guest)


@EACH
def test_an_unpatched_kernel_fails(scenario: Scenario, control_bed: Testbed, project: Project) -> None:
    """The negative control: each scenario must notice that the calls are not there."""
    outcome = runner.run_one(scenario, control_bed, SUITE)
    assert not outcome.passed
    assert "ENOSYS" in outcome.message or "not implemented" in outcome.message
