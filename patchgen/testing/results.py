"""What came of scenarios, and what faults cost, kept by kernel: so that a table can say it without a new run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from patchgen import scenarios
from patchgen.cache import Cache, digest, file_digest, prune, write_text
from patchgen.checks import cost, cost_bars
from patchgen.checks.cost_bars import Judged
from patchgen.guest.testbed import Testbed
from patchgen.testing.requirements import Demand, demands
from patchgen.testing.runner import Outcome

NOT_RUN = "not run"
_KEPT = 32


@dataclass(frozen=True)
class Row:
    """A sentence with all that stands for it.

    Attributes:
        demand: the sentence.
        results: result ("ok", "FAILED", "skipped", "not run") of each of its scenarios, by the scenario's name.
    """

    demand: Demand
    results: dict[str, str]

    @property
    def result(self) -> str:
        """Of the sentence: the worst of its scenarios'; "" if a test of the patches stands for it."""
        found = set(self.results.values())
        return next((word for word in ("FAILED", NOT_RUN, "skipped", "ok") if word in found), "")


def _file(bed: Testbed, cache: Cache) -> Path:
    """Return where results on a kernel are: those of other scenarios, guest programs or sandbox do not count."""
    sources = sorted(Path(scenarios.__file__).parent.glob("*.py"))
    whose = ["untrusted"] if bed.machine.sandbox else []
    key = digest("results", file_digest(bed.kernel), bed.image.digest, [file_digest(path) for path in sources], *whose)
    return cache.directory("results") / f"{key}.json"


def keep(outcomes: Iterable[Outcome], bed: Testbed, cache: Cache) -> None:
    """Add the outcomes to what is known of a kernel.

    Raises:
        MachineError: they cannot be written.
    """
    path = _file(bed, cache)
    with cache.lock("results"):
        known = _read(path) | {outcome.scenario.name: outcome.result for outcome in outcomes}
        write_text(path, json.dumps(known, indent=1))
        prune(path.parent, _KEPT)


def any_known(cache: Cache) -> bool:
    """Whether results on any kernel are kept."""
    return any((cache.root / "results").glob("*.json"))


def known_results(bed: Testbed, cache: Cache) -> dict[str, str]:
    """Return the result of each scenario that was run on a testbed's kernel, by its name."""
    return _read(_file(bed, cache))


def keep_costs(judged: Iterable[Judged], vanilla: Testbed, patched: Testbed, cache: Cache) -> None:
    """Keep what was measured against each bar.

    Raises:
        MachineError: it cannot be written.
    """
    path = _costs_file(vanilla, patched, cache)
    write_text(path, json.dumps({one.what: one.measured for one in judged}, indent=1))
    prune(path.parent, _KEPT)


def known_costs(vanilla: Testbed, patched: Testbed, cache: Cache) -> dict[str, int]:
    """Return the instructions that were measured against each bar, by what it is about; nothing if none were."""
    path = _costs_file(vanilla, patched, cache)
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _costs_file(vanilla: Testbed, patched: Testbed, cache: Cache) -> Path:
    kernels = [file_digest(bed.kernel) for bed in (vanilla, patched)]
    key = digest(
        "costs",
        kernels,
        patched.image.digest,
        patched.machine.digest(),
        file_digest(Path(cost.__file__)),
        file_digest(Path(cost_bars.__file__)),
    )
    return cache.directory("costs") / f"{key}.json"


def _read(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def table(known: dict[str, str]) -> list[Row]:
    """Return the sentences in the assignment's order, with the results of their scenarios."""
    return [
        Row(
            demand,
            {one.name: known.get(one.name, NOT_RUN) for one in scenarios.SCENARIOS if demand.id in one.demands},
        )
        for demand in demands().values()
    ]
