"""What faults and calls cost, kept by kernel: so that a report can say it without a new run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from patchgen.assignment import COST, Assignment
from patchgen.cache import Cache, digest, file_digest, prune, write_text
from patchgen.checks import cost
from patchgen.checks.cost_bars import Judged
from patchgen.guest.testbed import Testbed

_KEPT = 32


def keep(judged: Iterable[Judged], assignment: Assignment, vanilla: Testbed, patched: Testbed, cache: Cache) -> None:
    """Keep what was measured against each bar.

    Raises:
        MachineError: it cannot be written.
    """
    path = _file(assignment, vanilla, patched, cache)
    write_text(path, json.dumps({one.what: one.measured for one in judged}, indent=1))
    prune(path.parent, _KEPT)


def known(assignment: Assignment, vanilla: Testbed, patched: Testbed, cache: Cache) -> dict[str, int]:
    """Return the instructions that were measured against each bar, by what it is about; nothing if none were."""
    path = _file(assignment, vanilla, patched, cache)
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _file(assignment: Assignment, vanilla: Testbed, patched: Testbed, cache: Cache) -> Path:
    kernels = [file_digest(bed.kernel) for bed in (vanilla, patched)]
    plan, driver = file_digest(assignment.directory / COST), file_digest(Path(cost.__file__))
    key = digest("costs", kernels, patched.image.digest, patched.machine.digest(), plan, driver)
    return cache.directory("costs") / f"{key}.json"
