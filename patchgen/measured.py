"""What was measured on a series, for its report: only what the cache has for exactly this tree and these patches.

Nothing is run here. `patchgen check` leaves what checkpatch said, `patchgen test` what came of the scenarios, `patchgen
bench` the instructions. What was not run is left out; so the report, and with it the archive, depends on what was run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import scenarios
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import checkpatch
from patchgen.errors import MachineError
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest, cached
from patchgen.settings import Settings
from patchgen.submission.patches import PatchFile
from patchgen.testing import results

if TYPE_CHECKING:
    from patchgen.guest.testbed import Testbed
    from patchgen.series.model import Parameter

CONFIG = "small"  # what `patchgen test` and `patchgen bench` boot
CHECKPATCH, SCENARIOS = "checkpatch --strict", "scenarios passed"
# Of the bars of `patchgen bench`, those that say what a fault costs.
COSTS = {
    "nothing tracked, copy-on-write fault": "instructions added to a copy-on-write fault, nothing tracked",
    "tracked, copy-on-write fault": "instructions added to a copy-on-write fault, tracked",
}
# How to come by what is missing, by its name in the report.
COMMANDS = {CHECKPATCH: "patchgen check", SCENARIOS: "patchgen test", **dict.fromkeys(COSTS.values(), "patchgen bench")}


@dataclass(frozen=True)
class Measured:
    """What is known of a series.

    Attributes:
        checks: a check's name and its result.
        figures: what was measured, and the figure.
    """

    checks: Mapping[str, str]
    figures: Mapping[str, str]

    @property
    def missing(self) -> dict[str, str]:
        """What is not known, with the command that finds it out."""
        known = {**self.checks, **self.figures}
        return {name: command for name, command in COMMANDS.items() if name not in known}


def known(
    tree: str,
    made: Sequence[PatchFile],
    origin: Source,
    settings: Settings,
    parameters: Mapping[str, Parameter],
    cache: Cache,
) -> Measured:
    """Return what the cache has on a series.

    Args:
        tree: git tree id of the kernel with the whole series.
        made: its patch files.
        origin: the base.
        settings: which programs are in the guests.
        parameters: the series', which these programs are made with.
        cache: where results are kept.
    """
    checks: dict[str, str] = {}
    figures: dict[str, str] = {}
    if styles := checkpatch.kept(made, origin.tree, cache):
        checks[CHECKPATCH] = checkpatch.totals(styles)
    try:
        bed = _testbed(tree, origin, settings, parameters, cache)
        plain = _testbed(origin.tree, origin, settings, parameters, cache)
        if bed and (passed := _passed(results.known_results(bed, cache))):
            checks[SCENARIOS] = passed
        bars = results.known_costs(plain, bed, cache) if plain and bed else {}
        figures = {COSTS[name]: f"{added:+}" for name, added in bars.items() if name in COSTS}
    except MachineError:
        # A machine without compiler or QEMU has not run anything of that either.
        pass
    return Measured(checks, figures)


def _passed(known: Mapping[str, str]) -> str:
    """Return how many of the scenarios that were run have passed, and how many there are; "" if none was run."""
    names = [scenario.name for scenario in scenarios.SCENARIOS]
    run = [known[name] for name in names if known.get(name) in ("ok", "FAILED")]
    if not run:
        return ""
    more = f" that were run, {len(names)} in all" if len(run) < len(names) else ""
    return f"{run.count('ok')} of {len(run)}{more}"


def _testbed(
    tree: str, origin: Source, settings: Settings, parameters: Mapping[str, Parameter], cache: Cache
) -> Testbed | None:
    """Return what guests of a tree's kernel are made of, None if that was not built."""
    from patchgen.guest import testbed

    found = cached(BuildRequest(configs.load(CONFIG, origin.base.name), tree, origin, cache))
    return testbed.make(Path(found.image), settings, parameters, cache) if found else None
