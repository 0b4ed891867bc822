"""The short form of `make torture`; and that it can fail."""

from __future__ import annotations

import dataclasses

import pytest
from pfstat import ASSIGNMENT, SUITE

from patchgen.checks import stress
from patchgen.checks.stress import Plan
from patchgen.errors import UsageError
from patchgen.guest.testbed import Testbed
from patchgen.pipeline import Project

pytestmark = pytest.mark.timeout(600)

SHORT = Plan(seed=940, seconds=8, calls=4000)


def test_the_series_endures_it(debug_bed: Testbed, project: Project) -> None:
    verdict = stress.run(debug_bed, stress.load(ASSIGNMENT), SUITE.prefix, SHORT)
    assert [(one.where, one.message, one.evidence) for one in verdict.findings] == []
    facts = verdict.facts
    # What says that it was put through something at all.
    assert int(facts["nth calls"]) >= 2
    assert int(facts["nth faults"]) >= 1
    assert int(facts["nth forks"]) > 10
    assert int(facts["nth execs"]) > 10
    assert int(facts["race meetings"]) >= 2
    assert int(facts["race relays"]) >= 2
    for part in ("torture", "injection"):
        for name in ("set_param", "get_info", "forks", "execs", "writes"):
            assert int(facts[f"{part} {name}"]) > 0, f"{part} {name}"
    assert sum(int(facts[f"fuzz {name}"]) for name in ("set_param", "get_info", "cleanup")) >= SHORT.calls
    assert facts["fuzz lines"] == facts["fuzz failed"]


def test_a_seed_repeats_a_run(debug_bed: Testbed, project: Project) -> None:
    def digests(seed: int) -> list[str]:
        """Return how many operations each worker did, and a digest of which."""
        command = ["torture", "run", str(project.series.parameters["log_prefix"]), str(seed), "600", "2", "0", "30"]
        with bed.ready() as guest:
            output = guest.run(command, timeout=120).text
        numbers = stress.parse("run", output, 0).numbers
        return [numbers["digest-0"], numbers["digest-1"]]

    bed = dataclasses.replace(debug_bed, machine=stress.machine(debug_bed.machine))
    first = digests(1)
    assert [one.split()[0] for one in first] == ["30", "30"]
    assert first == digests(1)
    assert first != digests(2)


@pytest.mark.parametrize("command", ["torture run P 1 60 2 0 8", "torture nth P", "torture race P 1", "fuzz P 1 200"])
def test_an_unpatched_kernel_fails(command: str, vanilla_bed: Testbed, project: Project) -> None:
    """The negative control: each program must notice that the calls are not there."""
    prefix = str(project.series.parameters["log_prefix"])
    with vanilla_bed.ready() as guest:
        result = guest.run([prefix if word == "P" else word for word in command.split()], timeout=120)
    part = stress.parse("", result.text, 0)
    assert result.status in {1, 2}, result.text
    assert part.failures or "CONFIG_" in result.text


def test_another_kernel_is_refused(series_bed: Testbed) -> None:
    with pytest.raises(UsageError, match="does not say who allocated what"):
        stress.run(series_bed, stress.load(ASSIGNMENT), "", SHORT)
