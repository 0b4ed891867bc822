"""The way from a series to its coverage: the kernel with counters, the guests, the sum."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import pipeline
from patchgen.checks import coverage
from patchgen.checks.coverage import Coverage
from patchgen.errors import SubmissionError, UsageError
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest, build
from patchgen.sandbox.handling import OURS, Handling
from patchgen.testing import runner, suite
from patchgen.testing.lab import Scenario
from patchgen.testing.runner import Outcome

if TYPE_CHECKING:
    from patchgen.guest.session import Guest
    from patchgen.guest.testbed import Testbed
    from patchgen.pipeline import Project
    from patchgen.testing.suite import Suite

CONFIG = "gcov"


def measure(
    project: Project, given: Path | None, only: str, workers: int, how: Handling = OURS
) -> tuple[Coverage, list[Outcome]]:
    """Run the scenarios on a kernel with counters.

    Args:
        project: our series.
        given: somebody's submission in its place.
        only: runs whose name has this text.
        workers: guests at a time.
        how: how the submission is handled.

    Returns:
        What was counted, and what came of each run: coverage by scenarios that fail is worth little.

    Raises:
        UsageError: there is no such run.
        SubmissionError: it does not apply or build, or adds no code that is compiled with counters.
        MachineError: a tool is missing, or gcov cannot read what the kernel counted.
    """
    tests = suite.load(project.assignment, project.series.parameters)
    chosen = [one for one in (*tests.scenarios, *tests.coverage_runs) if only in one.name]
    if not chosen:
        raise UsageError(f"no scenario's name has {only!r}", hint="patchgen test --list shows them")
    origin = project.source()
    tree, workspace = pipeline.tree_under_test(project, origin, given, how)
    config = configs.load(CONFIG, project.base.name)
    whole = pipeline.patched_for(config, tree, origin, project)
    built = build(BuildRequest(config, whole, origin, project.cache, workspace, project.settings.jobs, how.sandbox))
    bed = pipeline.testbed_of(project, built.image, how.sandbox)
    added = coverage.added_lines(origin, tree)
    collected: dict[str, dict[str, bytes]] = {}
    lock = threading.Lock()

    def after(scenario: Scenario, guest: Guest) -> None:
        data = coverage.collect(guest)
        with lock:
            collected[scenario.name] = data

    def run(some: Sequence[Scenario], bed: Testbed, tests: Suite) -> list[Outcome]:
        return [runner.run_one(some[0], bed, tests, after)]

    outcomes = runner.run_all(chosen, bed, tests, workers, run)
    with project.cache.scratch("coverage") as scratch:
        counter = coverage.Counter(built.image.parent, added, scratch, how.sandbox)
        for one in chosen:
            if one.name in collected:
                counter.add(one.name, collected[one.name])
        counted = counter.result(coverage.texts(origin, tree, added))
    if not counted.functions:
        raise SubmissionError("the series adds no line that is compiled with counters, or no guest survived")
    return counted, outcomes
