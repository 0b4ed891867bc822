"""Who is to blame: a scenario that cannot get to what it is about is blocked, and does not accuse that.

What blocks it is some other scenario's failure; where there is none, it has failed itself.

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
    """Return the outcomes: what rests on a foundation that has failed is blocked, what nothing blocks has failed.

    Args:
        outcomes: of one kernel.
        assignment: whose foundations there are.
    """
    settled = list(outcomes)
    for foundation in assignment.foundations:
        failed = [one for one in settled if one.scenario.name in foundation.scenarios and one.result is Result.FAIL]
        if failed and not failed[0].crashed:
            settled = [_resting(one, foundation, failed[0]) for one in settled]
    shown = {name for one in settled if one.result is Result.FAIL for name in one.violated}
    for number, one in enumerate(settled):
        settled[number] = _unexplained(one, shown)
        if settled[number] is not one:  # it explains those behind it
            shown.update(settled[number].violated)
    return settled


def _unexplained(outcome: Outcome, shown: set[str]) -> Outcome:
    """Let a scenario fail that is blocked by what no other one shows: else nobody would be told of it.

    A call that fails on its way there fails for what the scenario is about.
    """
    if (
        outcome.result is not Result.BLOCKED
        or outcome.blocked_by
        or not outcome.violated
        or shown & set(outcome.violated)
    ):
        return outcome
    return replace(outcome, result=Result.FAIL, violated=outcome.scenario.requirements)


def _resting(outcome: Outcome, foundation: Foundation, failed: Outcome) -> Outcome:
    if outcome.result not in (Result.FAIL, Result.BLOCKED) or outcome.crashed or outcome.blocked_by:
        return outcome
    own = tuple(one for one in outcome.violated if any(fnmatchcase(one, each) for each in foundation.requirements))
    if own and outcome.result is Result.FAIL:
        return replace(outcome, violated=own)
    message = f"blocked by {failed.scenario.name} ({failed.scenario.summary})\n{outcome.message}"
    # A scenario that was blocked anyway keeps what it met on its way.
    met = outcome.violated if outcome.result is Result.BLOCKED else ()
    return replace(outcome, result=Result.BLOCKED, violated=met, message=message, blocked_by=failed.scenario.name)
