"""What a course gives points for: a TOML file, `templates/rubrics/default.toml` unless another is named."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from patchgen import resources
from patchgen.checks import cost
from patchgen.errors import UsageError
from patchgen.findings import Severity
from patchgen.testing.requirements import demands
from patchgen.validation import Model, read_toml

DEFAULT = resources.TEMPLATES / "rubrics" / "default.toml"
StageName = Literal["archive", "patches", "style", "build", "behaviour", "robustness", "cost"]


class Item(Model):
    """Something that there are points for.

    Attributes:
        id: short, unique.
        title: for people.
        stage: whose findings cost points.
        points: that there are; 0 for an item that is only mandatory.
        checks: patterns (fnmatch) of the checks whose findings count.
        severities: of these findings.
        each: points that each finding costs; without it the first one costs all.
        demands: patterns of the sentences that the points are shared out among; only for behaviour.
        mandatory: a finding makes the mark 0.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    stage: StageName
    points: float = Field(default=0, ge=0, le=1000)
    checks: tuple[str, ...] = ("*",)
    severities: tuple[Severity, ...] = (Severity.ERROR, Severity.WARNING)
    each: float | None = Field(default=None, gt=0)
    demands: tuple[str, ...] = ()
    mandatory: bool = False

    def covers(self, check: str) -> bool:
        """Whether a check is one of the item's."""
        return any(fnmatchcase(check, pattern) for pattern in self.checks)

    def sentences(self) -> list[str]:
        """Return the ids of the sentences that it is about, in the assignment's order."""
        return [one for one in demands() if any(fnmatchcase(one, pattern) for pattern in self.demands)]

    @model_validator(mode="after")
    def _is_about_something(self) -> Item:
        if self.demands and self.stage != "behaviour":
            raise ValueError(f"{self.id}: only items of behaviour are shared out among sentences")
        if self.demands and not self.sentences():
            raise ValueError(f"{self.id}: no sentence is like {' or '.join(self.demands)}")
        if not (self.points or self.mandatory):
            raise ValueError(f"{self.id}: it has neither points nor is it mandatory")
        return self


class Limit(Model):
    """How many instructions more than the vanilla kernel's something may take before that is a finding.

    Attributes:
        state: of the kernel, as in patchgen.checks.cost.
        group: of what is measured.
        limit: instructions.
    """

    state: str
    group: Literal["cow", "other", "call"]
    limit: int = Field(ge=0)

    @model_validator(mode="after")
    def _is_measured(self) -> Limit:
        known = [state.name for state in cost.PATCHED]
        if self.state not in known:
            raise ValueError(f"there is no state {self.state}; known: {', '.join(known)}")
        return self


class Rubric(Model):
    """All of it.

    Attributes:
        title: for people.
        deadline: after which a submission is late; None if only --deadline says so.
        items: what there are points for.
        costs: limits of the cost stage.
    """

    title: str
    deadline: datetime | None = None
    items: tuple[Item, ...] = Field(alias="item", min_length=1)
    costs: tuple[Limit, ...] = Field(alias="cost", default=())

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Rubric:
        ids = [item.id for item in self.items]
        if len(set(ids)) != len(ids):
            raise ValueError("two items have the same id")
        return self


def load(path: Path = DEFAULT) -> Rubric:
    """Read a rubric.

    Raises:
        UsageError: it cannot be read, or is wrong; says where.
    """
    return read_toml(path, Rubric, UsageError)
