"""Kernels that take minutes to build: each patch in each way, and the plain configurations. `make test-builds`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pfstat import ASSIGNMENT, SCENARIOS, SUITE

from patchgen import pipeline
from patchgen.base.git import bare_repository
from patchgen.base.resolve import Source
from patchgen.findings import Result
from patchgen.kernel import build as kernel
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest, Kernel
from patchgen.pipeline import Project
from patchgen.series.model import load
from patchgen.testing import runner

pytestmark = [pytest.mark.builds, pytest.mark.timeout(5400)]

# What is built, and under which name here: -k defconfig is to select the test of that name alone.
WAYS = {
    "small": "small",
    "small_up": "small_up",
    "small_pae": "small_pae",
    "small_preempt": "small_preempt",
    "x86_64": "x86_64",
    "defconfig": "plain",
}
NOT_BOOTED = {"x86_64"}
PATCHES = len(load(ASSIGNMENT.directory).patches)
ENOSYS = -38


def build(project: Project, origin: Source, tree: str, config: str, workspace: str) -> Kernel:
    jobs = project.settings.jobs
    chosen = configs.load(config, origin.base.name)
    return kernel.build(BuildRequest(chosen, tree, origin, project.cache, workspace, jobs))


def matrix() -> Iterator[object]:
    """Each patch in each way; the plain configuration takes minutes for each, so all but its last patch are long."""
    for config, name in WAYS.items():
        for number in range(1, PATCHES + 1):
            long = [pytest.mark.long] if config == "defconfig" and number < PATCHES else []
            yield pytest.param(config, number, id=f"{name}-patch{number}", marks=long)


@pytest.mark.parametrize(("config", "number"), list(matrix()))
def test_each_patch_builds_and_boots(
    project: Project, origin: Source, build_table: dict[str, dict[str, str]], config: str, number: int
) -> None:
    row, column = build_table.setdefault(config, {}), f"patch {number}"
    row[column] = Result.FAIL
    composed = pipeline.commit(project, origin)
    assert len(composed.commits) == PATCHES
    tree = str(bare_repository(origin.repository).git.rev_parse(f"{composed.commits[number - 1]}^{{tree}}"))
    before = build(project, origin, origin.tree, config, "vanilla")
    built = build(project, origin, tree, config, "bisect")
    assert set(built.warnings) - set(before.warnings) == set()
    if config in NOT_BOOTED:
        row[column] = f"built in {built.seconds:.0f} s"
        return
    with pipeline.testbed_of(project, built.image).ready() as guest:
        assert guest.run("./fork").status == 0
        assert guest.run("pfcall set cow -").text == f"ret {0 if number == PATCHES else ENOSYS}\n"
        assert guest.complaints == ()
    row[column] = f"booted, {built.seconds:.0f} s"


def test_the_defconfig_kernel(project: Project, origin: Source) -> None:
    built = build(project, origin, pipeline.commit(project, origin).tree, "defconfig", "series")
    bed = pipeline.testbed_of(project, built.image)
    outcomes = runner.run_all(SCENARIOS, bed, SUITE, project.settings.jobs)
    assert [(one.scenario.name, one.message) for one in outcomes if one.result not in (Result.PASS, Result.SKIP)] == []
