"""What a course gives points for: a TOML file, the assignment's `rubric.toml` unless another is named."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from patchgen import data
from patchgen.assignment import RUBRIC, Assignment
from patchgen.checks import cost_plan
from patchgen.data import Model
from patchgen.errors import UsageError
from patchgen.findings import Severity

StageName = Literal["archive", "patches", "style", "build", "behaviour", "robustness", "cost", "hand"]
Shown = Literal["now", "after-deadline"]


class Item(Model):
    """Something that there are points for.

    Attributes:
        id: short, unique.
        title: for people.
        stage: whose findings cost points; "hand" for what only the grader gives points for (adjustments.csv).
        points: that there are; 0 for an item that is only mandatory.
        checks: patterns (fnmatch) of the checks whose findings count.
        severities: of these findings.
        each: points that each finding costs; without it the first one costs all.
        requirements: patterns of the sentences that the points are shared out among; only for behaviour.
        mandatory: a finding makes the mark 0.
        shown: when a student sees what came of it.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    stage: StageName
    points: float = Field(default=0, ge=0, le=1000)
    checks: tuple[str, ...] = ("*",)
    severities: tuple[Severity, ...] = (Severity.ERROR, Severity.WARNING)
    each: float | None = Field(default=None, gt=0)
    requirements: tuple[str, ...] = ()
    mandatory: bool = False
    shown: Shown = "now"

    def covers(self, check: str) -> bool:
        """Whether a check is one of the item's."""
        return any(fnmatchcase(check, pattern) for pattern in self.checks)

    def among(self, known: Iterable[str]) -> list[str]:
        """Return those of some requirements' ids that it is about, in their order."""
        return [one for one in known if any(fnmatchcase(one, pattern) for pattern in self.requirements)]

    @model_validator(mode="after")
    def _is_about_something(self) -> Item:
        if self.requirements and self.stage != "behaviour":
            raise ValueError(f"{self.id}: only items of behaviour are shared out among requirements")
        if self.stage == "hand" and self.mandatory:
            raise ValueError(f"{self.id}: nothing that is graded by hand is mandatory")
        if not (self.points or self.mandatory):
            raise ValueError(f"{self.id}: it has neither points nor is it mandatory")
        return self


class Limit(Model):
    """How many instructions more than the vanilla kernel's something may take before that is a finding.

    Attributes:
        state: of the kernel, as in the assignment's cost.toml.
        group: of what is measured, as there.
        limit: instructions.
    """

    state: str
    group: str
    limit: int = Field(ge=0)


class Rubric(Model):
    """All of it.

    Attributes:
        title: for people.
        deadline: after which a submission is late; None if only --deadline says so.
        late: marks that are taken off for 1, 2, ... days begun after it; the last number holds for all further days.
            Empty: being late costs nothing.
        crash: share of all points of behaviour that a kernel which crashes in a scenario loses, besides what the
            requirements of the crashed call cost.
        items: what there are points for.
        costs: limits of the cost stage.
    """

    title: str
    deadline: datetime | None = None
    late: tuple[float, ...] = ()
    crash: float = Field(default=0.33, ge=0, le=1)
    items: tuple[Item, ...] = Field(alias="item", min_length=1)
    costs: tuple[Limit, ...] = Field(alias="cost", default=())

    def whole(self, stages: Collection[str]) -> float:
        """Return all the points that there are for some stages, and by hand."""
        return round(sum(item.points for item in self.items if item.stage == "hand" or item.stage in stages), 2)

    def penalty(self, days: int) -> float:
        """Return the marks that a submission loses for so many days begun after the deadline."""
        return self.late[min(days, len(self.late)) - 1] if days and self.late else 0.0

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Rubric:
        ids = [item.id for item in self.items]
        if len(set(ids)) != len(ids):
            raise ValueError("two items have the same id")
        return self


def load(assignment: Assignment, path: Path | None = None) -> Rubric:
    """Read a rubric.

    Args:
        assignment: what it is for.
        path: the file; None for the assignment's own.

    Raises:
        UsageError: it cannot be read, or is wrong; says where.
    """
    path = path or assignment.directory / RUBRIC
    found = data.load(path, Rubric, UsageError)
    for item in found.items:
        if item.requirements and not item.among(assignment.requirements):
            raise UsageError(f"{path}: {item.id}: no requirement is like {' or '.join(item.requirements)}")
    if found.costs:
        plan = cost_plan.load(assignment)
        states = [state.name for state in plan.state]
        for limit in found.costs:
            for what, name, known in (("state", limit.state, states), ("group", limit.group, list(plan.groups))):
                if name not in known:
                    raise UsageError(f"{path}: cost: there is no {what} {name}; known: {', '.join(known)}")
    return found
