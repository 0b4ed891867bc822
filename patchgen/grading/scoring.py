"""From what was found to a mark, by the rubric."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from patchgen.findings import Finding, Result
from patchgen.grading.model import ItemMark, Marks, Stage
from patchgen.grading.rubric import Item, Rubric

_DAY = 86400
_SHOWN = 3
_BY_HAND = Stage(number=0, name="hand", status=Result.SKIP, why="points are given by hand")


def days_late(submitted: datetime, deadline: datetime) -> int:
    """Return the number of days that have begun after the deadline; dates without a zone are UTC."""
    late = (_zoned(submitted) - _zoned(deadline)).total_seconds()
    return max(0, math.ceil(late / _DAY))


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def mark(
    rubric: Rubric,
    stages: Sequence[Stage],
    findings: Sequence[Finding],
    scenarios: Mapping[str, Mapping[str, Result]],
    essential: Collection[str] = (),
) -> Marks:
    """Return the marks before any penalty.

    Args:
        rubric: what there are points for.
        stages: what came of them.
        findings: of all stages.
        scenarios: result of each sentence's scenarios.
        essential: names of the scenarios that show the least that has to work. If they pass, what is blocked costs
            nothing: what blocks it costs its own points.
    """
    by_name = {stage.name: stage for stage in stages} | {"hand": _BY_HAND}
    free = _works(scenarios, essential)
    return total(rubric.title, [_item(item, by_name[item.stage], findings, scenarios, free) for item in rubric.items])


def _works(scenarios: Mapping[str, Mapping[str, Result]], essential: Collection[str]) -> bool:
    """Whether the least works that has to; not if nobody said what that is, or it was not run."""
    results = {name: result for found in scenarios.values() for name, result in found.items()}
    return bool(essential) and all(results.get(name) is Result.PASS for name in essential)


def total(rubric: str, items: Sequence[ItemMark]) -> Marks:
    """Return what items add up to.

    Args:
        rubric: its title.
        items: what each has come to.
    """
    graded = [item for item in items if item.earned is not None]
    earned = round(sum(item.earned or 0 for item in graded), 2)
    broken = [item for item in items if item.mandatory and item.status is Result.FAIL]
    zero = f"{broken[0].title}: {broken[0].why}" if broken else ""
    unknown = any(item.status is Result.ERROR for item in items)
    return Marks(
        rubric=rubric,
        items=tuple(items),
        points=round(sum(item.points for item in graded), 2),
        earned=earned,
        zero=zero,
        mark=0.0 if zero else None if unknown else earned,
        complete=bool(zero) or len(graded) == len(items),
    )


def costs(rubric: Rubric, scenarios: Mapping[str, Mapping[str, Result]]) -> dict[str, float]:
    """Return what each requirement has cost that a scenario shows to be violated, by its id.

    Args:
        rubric: what there are points for.
        scenarios: result of each requirement's scenarios.
    """
    found = {}
    for item in rubric.items:
        graded = [one for one in item.among(scenarios) if scenarios.get(one)]
        failed = (one for one in graded if Result.FAIL in scenarios[one].values())
        found.update({one: item.points / len(graded) for one in failed})
    return found


def crashed(marks: Marks, rubric: Rubric, findings: Sequence[Finding]) -> Marks:
    """Return the marks less what a kernel loses that crashes in a scenario: at most what is left of behaviour."""
    if not any(one.check == "crash" and one.stage == "behaviour" for one in findings):
        return marks
    among = {item.id for item in rubric.items if item.stage == "behaviour"}
    graded = [item for item in marks.items if item.id in among and item.earned is not None]
    share = rubric.crash * sum(item.points for item in graded)
    less = round(min(share, sum(item.earned or 0 for item in graded)), 2)
    left = marks.mark and round(marks.mark - less, 2)  # neither None nor 0 becomes less
    return marks.model_copy(update={"crash": less, "mark": left})


def late(marks: Marks, rubric: Rubric, submitted: datetime | None, deadline: datetime | None) -> Marks:
    """Return the marks less what is taken off for being late, if both dates are known: never more than there is."""
    if submitted is None or deadline is None:
        return marks
    days = days_late(submitted, deadline)
    less = min(rubric.penalty(days), marks.earned if marks.mark is None else marks.mark)
    left = None if marks.mark is None else round(marks.mark - less, 2)
    return marks.model_copy(update={"days_late": days, "penalty": less, "mark": left})


def _item(
    item: Item,
    stage: Stage,
    findings: Sequence[Finding],
    scenarios: Mapping[str, Mapping[str, Result]],
    free: bool,
) -> ItemMark:
    if stage.status is Result.BLOCKED:
        # What is mandatory of a stage that was not reached is not what is missing.
        return _marked(item, 0.0, Result.BLOCKED, stage.why)
    if stage.status in (Result.SKIP, Result.ERROR):
        return _marked(item, None, stage.status, stage.why)
    if item.requirements:
        return _shared(item, scenarios, free)
    counted = [
        finding
        for finding in findings
        if finding.stage == item.stage and item.covers(finding.check) and finding.severity in item.severities
    ]
    lost = item.points if item.each is None and counted else min(item.points, len(counted) * (item.each or 0))
    unmade = [f"{check}: {why}" for check, why in stage.errors.items() if item.covers(check)]
    if unmade and not (item.mandatory and counted):
        return _marked(item, None, Result.ERROR, "; ".join(unmade))
    return _marked(item, item.points - lost, Result.FAIL if counted else Result.PASS, _reasons(counted))


def _reasons(findings: Sequence[Finding]) -> str:
    texts = [f"{one.where}: {one.message}" if one.where else one.message for one in findings[:_SHOWN]]
    more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    return "; ".join(text.splitlines()[0] for text in texts if text) + more


def _shared(item: Item, scenarios: Mapping[str, Mapping[str, Result]], free: bool) -> ItemMark:
    """Share the points out among the requirements that a scenario stands for.

    A requirement is lost if a scenario shows that it is violated. One whose scenarios never got to it is lost as well,
    since nothing shows that it is met, unless what is blocked is `free`; where only some of them were blocked, the
    others decide.
    """
    graded = [one for one in item.among(scenarios) if scenarios.get(one)]
    results = {one: set(scenarios[one].values()) for one in graded}
    failed = [one for one, found in results.items() if Result.FAIL in found]
    blocked = [
        one for one, found in results.items() if found <= {Result.BLOCKED, Result.SKIP} and Result.BLOCKED in found
    ]
    unknown = [one for one, found in results.items() if found & {Result.ERROR, Result.NOT_RUN} and one not in failed]
    if unknown or not graded:
        return _marked(item, None, Result.ERROR, f"could not be graded: {', '.join(unknown)}")
    lost = len(failed) + (0 if free else len(blocked))
    said = [f"violated: {', '.join(failed)}"] if failed else []
    cost = "blocked, which costs nothing" if free else "blocked, so that nothing shows it"
    said += [f"{cost}: {', '.join(blocked)}"] if blocked else []
    loss = f"{lost} of {len(graded)} requirements are lost" if lost else "nothing is lost"
    why = "; ".join([loss, *said]) if said else ""
    return _marked(item, item.points * (len(graded) - lost) / len(graded), Result.FAIL if lost else Result.PASS, why)


def _marked(item: Item, earned: float | None, status: Result, why: str) -> ItemMark:
    return ItemMark(
        id=item.id,
        title=item.title,
        points=item.points,
        earned=None if earned is None else round(earned, 2),
        status=status,
        mandatory=item.mandatory,
        why=why,
    )
