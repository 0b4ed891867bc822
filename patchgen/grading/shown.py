"""What a student sees of a verdict: nothing of the grader's machine, and no item before its time."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from patchgen import resources
from patchgen.findings import Finding, Result, worst
from patchgen.grading import scoring
from patchgen.grading.model import ItemMark, RequirementRow, Stage, Verdict
from patchgen.grading.rubric import Item, Rubric
from patchgen.text import everywhere

_LATER = "shown after the deadline"


def places(cache: Path) -> dict[str, str]:
    """Return the directories of this machine that a verdict may name, and what students read in their place."""
    named = {cache: "CACHE", resources.TEMPLATES: "templates", resources.QEMU: "qemu"}
    named |= {Path.cwd(): ".", Path.home(): "~"}
    found = {str(form): name for path, name in named.items() for form in (path, path.resolve())}
    # The last is a guest's home, too, and says nothing of anybody.
    return {path: name for path, name in found.items() if path not in ("/", "/root")}


def to_students(verdict: Verdict, rubric: Rubric, later: bool, machine: Mapping[str, str]) -> Verdict:
    """Return what a student may see.

    Args:
        verdict: with its marks, and the name of the submission as the grader knows it.
        rubric: which items are shown.
        later: the deadline is known and over.
        machine: directories that are no student's business (`places`).
    """
    hidden = [item for item in rubric.items if item.shown == "after-deadline" and not later]
    shown = _without(verdict, rubric, hidden) if hidden else verdict
    own = Path(verdict.submission).name
    names = {**machine, verdict.submission: own, str(Path(verdict.submission).absolute()): own}
    longest = sorted(filter(None, names), key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])")
    plain = functools.partial(pattern.sub, lambda found: names[found[0]])
    return Verdict.model_validate(everywhere(shown.model_dump(), plain))


def _without(verdict: Verdict, rubric: Rubric, hidden: list[Item]) -> Verdict:
    """Return a verdict in which nothing tells what came of some items."""
    ids = {item.id for item in hidden}
    sentences = {one for item in hidden for one in item.among([row.id for row in verdict.requirements])}
    whole = {item.stage for item in hidden} - {item.stage for item in rubric.items if item.id not in ids}

    def hides(finding: Finding) -> bool:
        if sentences & set(finding.requirements) or finding.stage in whole:
            return True
        return any(not one.requirements and one.stage == finding.stage and one.covers(finding.check) for one in hidden)

    findings = tuple(one for one in verdict.findings if not hides(one))
    scenarios = tuple(one for one in verdict.scenarios if not sentences & {*one.requirements, *one.violated})
    known = {one.name for one in scenarios}
    marks = scoring.total(verdict.marks.rubric, [_item(item, item.id in ids) for item in verdict.marks.items])
    crash = min(verdict.marks.crash, marks.earned) if any(one.check == "crash" for one in findings) else 0.0
    left = round(marks.earned - crash, 2)
    penalty = min(verdict.marks.penalty, left if marks.mark is None else min(left, marks.mark))
    less = {"days_late": verdict.marks.days_late, "penalty": penalty, "crash": crash}
    less |= {"mark": marks.mark and round(left - penalty, 2)}  # neither None nor 0 becomes less
    touched = {item.stage for item in hidden}
    return verdict.model_copy(
        update={
            "findings": findings,
            "scenarios": scenarios,
            "diagnosis": tuple(one for one in verdict.diagnosis if known >= set(one.scenarios)),
            "unexplained": tuple(name for name in verdict.unexplained if name in known),
            "requirements": tuple(_sentence(row, row.id in sentences, known) for row in verdict.requirements),
            "stages": tuple(_stage(one, one.name in whole, one.name in touched) for one in verdict.stages),
            "costs": None if "cost" in touched else verdict.costs,
            "marks": marks.model_copy(update=less),
            "status": worst([one.status for one in marks.items if one.status in (Result.FAIL, Result.ERROR)]),
        }
    )


def _item(item: ItemMark, hidden: bool) -> ItemMark:
    if not hidden:
        return item
    return item.model_copy(update={"earned": None, "status": Result.SKIP, "why": _LATER, "by_hand": False})


def _sentence(row: RequirementRow, hidden: bool, scenarios: set[str]) -> RequirementRow:
    if hidden:
        return row.model_copy(update={"result": Result.NOT_RUN, "scenarios": {}, "findings": 0})
    # A scenario of a hidden sentence may stand for this one, too.
    return row.model_copy(update={"scenarios": {name: one for name, one in row.scenarios.items() if name in scenarios}})


def _stage(stage: Stage, hidden: bool, touched: bool) -> Stage:
    if hidden:
        return Stage(number=stage.number, name=stage.name, status=Result.SKIP, why=_LATER)
    return stage.model_copy(update={"facts": {}}) if touched else stage
