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
from patchgen.base.resolve import Source
from patchgen.guest.session import Guest
from patchgen.guest.testbed import Testbed
from patchgen.testing import runner, sharing
from patchgen.testing.lab import Scenario
from patchgen.testing.sharing import Tidy

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


# As people run them: those that may share a guest do. Each group is a test, so that no worker is without one.
TOGETHER = [
    pytest.param(name, group, id=f"{name}-{group[0].name}")
    for name, tests in SUITES.items()
    for group in sharing.groups(tests.scenarios, tests.assignment.guest.reset)
]


@pytest.mark.parametrize(("name", "group"), TOGETHER)
@pytest.mark.usefixtures("second_bed")
def test_the_series_on_the_second_base(name: str, group: list[Scenario], beds: Beds, kernels: Kernels) -> None:
    outcomes = list(runner.run_some(group, beds(name, kernels.second), SUITES[name]))
    assert [(one.message, one.evidence) for one in outcomes if not one.passed] == []
    assert len(outcomes) == len(group), "each passes after those before it"


@dataclasses.dataclass(frozen=True)
class OneGuest(Testbed):
    """A testbed that has one guest for all: on a kernel without the calls nothing is left of a scenario but files."""

    guest: Guest | None = None
    tidy: Tidy | None = None

    @contextmanager
    def ready(self) -> Iterator[Guest]:
        """Give the guest."""
        assert self.guest
        assert self.tidy
        yield self.guest
        assert self.tidy()


@pytest.fixture(scope="module")
def control_beds(vanilla_kernel: Path, kernels: Kernels) -> Iterator[Callable[[str], Testbed]]:
    """Return what gives the testbed of the unpatched kernel with an assignment's programs, for the negative control."""
    with ExitStack() as stack:

        @functools.cache
        def make(name: str) -> Testbed:
            settings = SETTINGS.model_copy(update={"assignment": name, "base": kernels.main})
            bed = pipeline.testbed_of(pipeline.open_project(settings, {}), vanilla_kernel)
            guest = stack.enter_context(bed.ready())
            return OneGuest(**vars(bed), guest=guest, tidy=Tidy(guest, reset=""))

        yield make


@EACH
def test_an_unpatched_kernel_fails(name: str, scenario: Scenario, control_beds: Callable[[str], Testbed]) -> None:
    """The negative control: each scenario must notice that the calls are not there."""
    outcome = runner.run_one(scenario, control_beds(name), SUITES[name])
    assert not outcome.passed
    assert "ENOSYS" in outcome.message or "not implemented" in outcome.message


def test_what_a_scenario_leaves_is_undone(beds: Beds, kernels: Kernels, origin: Source) -> None:
    """Before the next scenario in a guest: no process, no file and no tracked name of the one before it."""
    tests = SUITES["pf_stat"]
    with beds("pf_stat", kernels.main).ready() as guest:
        tidy = Tidy(guest, tests.assignment.guest.reset)
        lab = tests.lab(guest, tests.prefix)
        lab.run("pfcall set fork -; (trap '' TERM; sleep 1000) & ln play mine; mkdir -p /tmp/a/b; touch '/tmp/a b'")
        lab.run("pidof sleep && ls /root/mine /tmp/a/b '/tmp/a b'")
        assert tidy()
        lab.run("while pidof sleep; do usleep 10000; done; ! ls /root/mine && ! ls /tmp/*")
        assert lab.run("pfcall get fork - here").text == "ret -13\n"
        lab.run("ls /root/play /root/test /root/fork")
        assert guest.complaints == ()
