"""A verdict marked: everything in it that the rubric, the grader and the dates have a say in.

What was found stays as it is, so a verdict that was kept is marked anew in no time, and no guest starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from patchgen.assignment import Assignment
from patchgen.findings import Finding, Result, Severity, worst
from patchgen.grading import diagnosis, order, scoring
from patchgen.grading.model import CostTable, ItemMark, Marks, RequirementRow, Verdict
from patchgen.grading.rubric import Rubric

NONE = Marks(rubric="", items=(), points=0, earned=0, mark=None, complete=False)
_LIMIT = "cost"  # the check whose findings are made here


@dataclass(frozen=True)
class Adjustment:
    """Points that the grader gives by hand, in place of what was computed.

    Attributes:
        points: of an item of the rubric.
        reason: for the student.
    """

    points: float
    reason: str


@dataclass(frozen=True)
class Dates:
    """When a submission was handed in and until when it could be; None if that is not known."""

    submitted: datetime | None = None
    deadline: datetime | None = None


def mark(
    verdict: Verdict,
    rubric: Rubric,
    assignment: Assignment,
    by_hand: Mapping[str, Adjustment] | None = None,
    dates: Dates | None = None,
) -> Verdict:
    """Return a verdict with all that follows from the rubric; whatever marks it had before.

    Args:
        verdict: what was found.
        rubric: what there are points for.
        assignment: what it is for.
        by_hand: what the grader gives, by the id of the rubric's item.
        dates: for what is taken off for being late.
    """
    findings = [one for one in verdict.findings if one.check != _LIMIT]
    if verdict.costs:
        blamed = (assignment.blame(one) for one in _over_limits(verdict.costs, rubric))
        findings += [replace(one, kind=order.kind(one, assignment)) for one in blamed]
    dates = dates or Dates()
    scenarios = {row.id: row.scenarios for row in verdict.requirements} if verdict.scenarios else {}
    marks = scoring.mark(rubric, verdict.stages, findings, scenarios, assignment.essential)
    if by_hand:
        marks = scoring.total(marks.rubric, [_adjusted(item, by_hand.get(item.id)) for item in marks.items])
    marks = scoring.crashed(marks, rubric, findings)
    marked = verdict.model_copy(
        update={
            "findings": tuple(findings),
            "requirements": tuple(_requirements(verdict.requirements, findings)),
            "status": _status(verdict, rubric, findings, marks),
            "marks": scoring.late(marks, rubric, dates.submitted, dates.deadline),
        }
    )
    return diagnosis.priced(marked, rubric)


def _status(verdict: Verdict, rubric: Rubric, findings: Sequence[Finding], marks: Marks) -> Result:
    """Return the verdict in a word. What is decided anyway (a mark of 0) needs nothing that was not graded.

    Points that were given by hand stand for what the machine did not grade.
    """
    by_hand = {item.id for item in marks.items if item.by_hand}
    graded = {item.stage for item in rubric.items} - {item.stage for item in rubric.items if item.id not in by_hand}
    unknown = [stage for stage in verdict.stages if stage.status is Result.ERROR and stage.name not in graded]
    if (unknown or any(item.status is Result.ERROR for item in marks.items)) and not marks.zero:
        return Result.ERROR
    lost = any(item.status is Result.FAIL for item in marks.items)
    return Result.FAIL if lost or any(one.severity is Severity.ERROR for one in findings) else Result.PASS


def _over_limits(costs: CostTable, rubric: Rubric) -> Iterator[Finding]:
    """Yield what takes more instructions than the rubric allows."""
    for limit in rubric.costs:
        for row in costs.rows:
            more = row.added[limit.state]
            if row.group == limit.group and more > limit.limit:
                said = f"'{row.title}' takes {more:+,} instructions, {costs.states[limit.state]}"
                message = f"{said}; at most {limit.limit:+,}"
                yield Finding(_LIMIT, Severity.WARNING, message, stage="cost", reproduce=costs.reproduce)


def _requirements(rows: Sequence[RequirementRow], findings: Sequence[Finding]) -> Iterator[RequirementRow]:
    """Yield how the submission stands to each sentence."""
    named = [one for finding in findings if finding.severity is not Severity.NOTE for one in finding.requirements]
    for row in rows:
        found = named.count(row.id)
        result = worst(row.scenarios.values()) if row.scenarios else Result.FAIL if found else Result.PASS
        yield row.model_copy(update={"result": result, "findings": found})


def _adjusted(item: ItemMark, given: Adjustment | None) -> ItemMark:
    """Return an item with the points that were given by hand; one that is mandatory and has all of them is met."""
    if given is None:
        return item
    computed = "" if item.earned is None else f"; computed: {item.earned:g}"
    why = f"{given.reason or 'no reason given'} (by hand{computed})"
    result = Result.PASS if given.points >= item.points else Result.FAIL
    return item.model_copy(update={"earned": given.points, "status": result, "why": why, "by_hand": True})
