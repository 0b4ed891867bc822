"""What came of scenarios, kept by kernel: so that a table can say it without a new run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from patchgen.assignment import Requirement
from patchgen.cache import Cache, digest, file_digest, prune, write_text
from patchgen.findings import Result, worst
from patchgen.guest.testbed import Testbed
from patchgen.testing.runner import Outcome
from patchgen.testing.suite import Suite

_KEPT = 32


@dataclass(frozen=True)
class Row:
    """A sentence with all that stands for it.

    Attributes:
        requirement: the sentence.
        results: result of each of its scenarios, by the scenario's name.
    """

    requirement: Requirement
    results: dict[str, Result]

    @property
    def result(self) -> str:
        """Of the sentence: the worst of its scenarios'; "" if a test of the patches stands for it."""
        return worst(list(self.results.values())) if self.results else ""


def _file(bed: Testbed, suite: Suite, cache: Cache) -> Path:
    """Return where results on a kernel are: those of other scenarios, guest programs or sandbox do not count."""
    whose = ["untrusted"] if bed.machine.sandbox else []
    key = digest("results", file_digest(bed.kernel), bed.image.digest, suite.digest(), *whose)
    return cache.directory("results") / f"{key}.json"


def keep(outcomes: Iterable[Outcome], bed: Testbed, suite: Suite, cache: Cache) -> None:
    """Add the outcomes to what is known of a kernel.

    Raises:
        MachineError: they cannot be written.
    """
    path = _file(bed, suite, cache)
    with cache.lock("results"):
        known = _read(path) | {one.scenario.name: Result.FAIL if one.violated else one.result for one in outcomes}
        write_text(path, json.dumps(known, indent=1))
        prune(path.parent, _KEPT)


def any_known(cache: Cache) -> bool:
    """Whether results on any kernel are kept."""
    return any((cache.root / "results").glob("*.json"))


def known_results(bed: Testbed, suite: Suite, cache: Cache) -> dict[str, Result]:
    """Return the result of each scenario that was run on a testbed's kernel, by its name."""
    return _read(_file(bed, suite, cache))


def _read(path: Path) -> dict[str, Result]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def table(suite: Suite, known: dict[str, Result]) -> list[Row]:
    """Return the sentences in the assignment's order, with the results of their scenarios."""
    return [
        Row(
            requirement,
            {
                one.name: known.get(one.name, Result.NOT_RUN)
                for one in suite.scenarios
                if requirement.id in one.requirements
            },
        )
        for requirement in suite.assignment.requirements.values()
    ]
