"""What was measured on a series, for its report: only what the cache has for exactly this tree and these patches.

Nothing is run here. `patchgen check` leaves what checkpatch said, `patchgen test` what came of the scenarios, `patchgen
bench` the instructions. What was not run is left out; so the report, and with it the archive, depends on what was run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import pipeline
from patchgen.base.resolve import Source
from patchgen.checks import checkpatch, kept_costs
from patchgen.errors import MachineError
from patchgen.findings import Result
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest, cached
from patchgen.pipeline import Measured
from patchgen.submission.patches import PatchFile
from patchgen.testing import results, suite

if TYPE_CHECKING:
    from patchgen.guest.testbed import Testbed
    from patchgen.pipeline import Project
    from patchgen.testing.suite import Suite

CONFIG = "small"  # what `patchgen test` and `patchgen bench` boot
CHECKPATCH, SCENARIOS = "checkpatch --strict", "scenarios passed"


def known(project: Project, tree: str, made: Sequence[PatchFile], origin: Source) -> Measured:
    """Return what the cache has on a project's series.

    Args:
        project: whose; what the report names of the costs is in its assignment.
        tree: git tree id of the kernel with the whole series.
        made: its patch files.
        origin: the base.
    """
    cache, named = project.cache, project.assignment.measured
    tests = suite.load(project.assignment, project.series.parameters)
    checks: dict[str, str] = {}
    figures: dict[str, str] = {}
    if styles := checkpatch.kept(made, origin.tree, cache):
        checks[CHECKPATCH] = checkpatch.totals(styles)
    try:
        bed, plain = _testbed(project, tree, origin), _testbed(project, origin.tree, origin)
        if bed and (passed := _passed(tests, results.known_results(bed, tests, cache))):
            checks[SCENARIOS] = passed
        bars = kept_costs.known(project.assignment, plain, bed, cache) if plain and bed and named else {}
        figures = {named[name]: f"{added:+}" for name, added in bars.items() if name in named}
    except MachineError:
        # A machine without compiler or QEMU has not run anything of that either.
        pass
    wanted = {
        CHECKPATCH: "patchgen check",
        SCENARIOS: "patchgen test",
        **dict.fromkeys(named.values(), "patchgen bench"),
    }
    there = {**checks, **figures}
    return Measured(checks, figures, {name: command for name, command in wanted.items() if name not in there})


def _passed(tests: Suite, known: Mapping[str, str]) -> str:
    """Return how many of the scenarios that were run have passed, and how many there are; "" if none was run."""
    names = [scenario.name for scenario in tests.scenarios]
    run = [known[name] for name in names if known.get(name) in (Result.PASS, Result.FAIL)]
    if not run:
        return ""
    more = f" that were run, {len(names)} in all" if len(run) < len(names) else ""
    return f"{run.count(Result.PASS)} of {len(run)}{more}"


def _testbed(project: Project, tree: str, origin: Source) -> Testbed | None:
    """Return what guests of a tree's kernel are made of, None if that was not built."""
    found = cached(BuildRequest(configs.load(CONFIG, origin.base.name), tree, origin, project.cache))
    return pipeline.testbed_of(project, Path(found.image)) if found else None
