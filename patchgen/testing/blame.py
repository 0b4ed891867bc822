"""Who is to blame: a scenario that cannot get to what it is about is blocked, and does not accuse that.

An assignment names its foundations: scenarios on which others rest. A scenario about the names of programs counts
faults on its way; on a kernel that counts wrongly it fails, and says nothing about names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from patchgen.assignment import Assignment, Foundation
from patchgen.findings import Result

if TYPE_CHECKING:
    from patchgen.testing.runner import Outcome


def settle(outcomes: Sequence[Outcome], assignment: Assignment) -> list[Outcome]:
    """Return the outcomes, with what rests on a foundation that has failed blocked by it.

    Args:
        outcomes: of one kernel.
        assignment: whose foundations there are.
    """
    settled = list(outcomes)
    for foundation in assignment.foundations:
        failed = [one for one in settled if one.scenario.name in foundation.scenarios and one.result is Result.FAIL]
        if failed and not failed[0].crashed:
            settled = [_resting(one, foundation, failed[0]) for one in settled]
    return settled


def _resting(outcome: Outcome, foundation: Foundation, failed: Outcome) -> Outcome:
    if outcome.result is not Result.FAIL or outcome.crashed:
        return outcome
    own = tuple(one for one in outcome.violated if any(fnmatchcase(one, each) for each in foundation.requirements))
    if own:
        return replace(outcome, violated=own)
    message = f"blocked by {failed.scenario.name} ({failed.scenario.summary})\n{outcome.message}"
    return replace(outcome, result=Result.BLOCKED, violated=(), message=message, blocked_by=failed.scenario.name)
