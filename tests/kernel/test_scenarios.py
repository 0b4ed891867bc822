"""What the kernel must do, on each base that is at hand; and that an unpatched kernel does none of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from kernels import SETTINGS, Kernels, build
from pfstat import suite_of

from patchgen import assignment, pipeline
from patchgen.guest.session import Guest
from patchgen.guest.testbed import Testbed
from patchgen.testing import runner
from patchgen.testing.lab import Scenario

SUITES = {name: suite_of(name) for name in assignment.names()}
EACH = pytest.mark.parametrize(
    ("name", "scenario"),
    [pytest.param(name, one, id=f"{name}-{one.name}") for name, tests in SUITES.items() for one in tests.scenarios],
)
Beds = Callable[[str, str], Testbed]


@pytest.fixture(scope="session")
def beds() -> Beds:
    """Return what gives the testbed of an assignment's series on a base."""

    @functools.cache
    def make(name: str, base: str) -> Testbed:
        project = pipeline.open_project(SETTINGS.model_copy(update={"assignment": name, "base": base}), {})
        return pipeline.testbed_of(project, build(project, project.source(), vanilla=False).image)

    return make


@EACH
@pytest.mark.usefixtures("origin")
def test_the_series(name: str, scenario: Scenario, beds: Beds, kernels: Kernels) -> None:
    outcome = runner.run_one(scenario, beds(name, kernels.main), SUITES[name])
    assert outcome.passed, f"{outcome.message}\n{outcome.evidence}"


@EACH
@pytest.mark.usefixtures("second_bed")
def test_the_series_on_the_second_base(name: str, scenario: Scenario, beds: Beds, kernels: Kernels) -> None:
    outcome = runner.run_one(scenario, beds(name, kernels.second), SUITES[name])
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
def control_beds(vanilla_kernel: Path, kernels: Kernels) -> Iterator[Callable[[str], Testbed]]:
    """Return what gives the testbed of the unpatched kernel with an assignment's programs, for the negative control."""
    with ExitStack() as stack:

        @functools.cache
        def make(name: str) -> Testbed:
            settings = SETTINGS.model_copy(update={"assignment": name, "base": kernels.main})
            bed = pipeline.testbed_of(pipeline.open_project(settings, {}), vanilla_kernel)
            guest = stack.enter_context(bed.ready())
            assert guest.run("printf '|%s' * '' > /first").status == 0
            return OneGuest(**vars(bed), guest=guest)

        yield make


@EACH
def test_an_unpatched_kernel_fails(name: str, scenario: Scenario, control_beds: Callable[[str], Testbed]) -> None:
    """The negative control: each scenario must notice that the calls are not there."""
    outcome = runner.run_one(scenario, control_beds(name), SUITES[name])
    assert not outcome.passed
    assert "ENOSYS" in outcome.message or "not implemented" in outcome.message
