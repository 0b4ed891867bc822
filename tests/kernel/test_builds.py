"""The long form, `make test-builds`: each patch by itself, i386_defconfig with nothing switched on, and x86_64."""

from __future__ import annotations

import pytest

from patchgen import kernel, pipeline, runner, testbed
from patchgen.kernel import Kernel
from patchgen.pipeline import Project
from patchgen.repository import bare_repository
from patchgen.scenarios import SCENARIOS
from patchgen.source import Source

pytestmark = [pytest.mark.builds, pytest.mark.timeout(5400)]


def build(project: Project, origin: Source, tree: str, config: str, slot: str) -> Kernel:
    jobs = project.settings.jobs
    return kernel.build(kernel.load_config(config), tree, origin, project.cache, slot=slot, jobs=jobs)


def test_each_patch_builds_and_boots(project: Project, origin: Source, vanilla: Kernel) -> None:
    composed = pipeline.commit(project, origin)
    repo = bare_repository(origin.repository)
    for commit in composed.commits:
        tree = str(repo.git.rev_parse(f"{commit}^{{tree}}"))
        built = build(project, origin, tree, "small", "bisect")
        assert set(built.warnings) - set(vanilla.warnings) == set()
        bed = testbed.make(built.image, project.settings, project.series.parameters, project.cache)
        with bed.ready() as guest:
            assert guest.run("./fork").status == 0
            assert guest.complaints == ()


def test_the_defconfig_kernel(project: Project, origin: Source) -> None:
    built = build(project, origin, pipeline.commit(project, origin).tree, "defconfig", "series")
    bed = testbed.make(built.image, project.settings, project.series.parameters, project.cache)
    prefix = str(project.series.parameters["log_prefix"])
    outcomes = runner.run_all(SCENARIOS, bed, prefix, project.settings.jobs)
    assert [(one.scenario.name, one.message) for one in outcomes if not one.passed] == []


def test_x86_64_still_builds(project: Project, origin: Source) -> None:
    before = build(project, origin, origin.tree, "x86_64", "vanilla")
    after = build(project, origin, pipeline.commit(project, origin).tree, "x86_64", "series")
    assert set(after.warnings) - set(before.warnings) == set()
