"""The catalogue of mutants: mistakes that people really make, as data, and the series that each of them makes.

A mutant is a few replacements in the templates of an assignment's series (`mutants.toml`).
"""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from patchgen import data
from patchgen.assignment import KILL_MATRIX, MUTANTS, Assignment
from patchgen.base.resolve import Source
from patchgen.cache import digest
from patchgen.data import Model
from patchgen.errors import SeriesError, UsageError
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.series import model as series

Stage = Literal["check", "build", "patches", "x86_64", "test", "torture", "cost"]
# What the findings of a stage can name. A mutant whose kernel boots also meets the scenarios, which name requirements.
STAGES: Mapping[Stage, tuple[str, ...]] = {
    "check": ("style", "build"),
    "build": ("build",),
    "patches": ("build",),
    "x86_64": ("build",),
    "test": (),
    "torture": ("robustness",),
    "cost": ("cost",),
}
# Their kernels boot, so they also meet every scenario.
BOOTED = ("test", "torture", "cost")


class Change(Model):
    """A replacement in one template; `old` must be there exactly once.

    Attributes:
        file: its path below the assignment's directory; "" for the catalogue's own `file`.
        old: text of ours.
        new: what a mistaken author has there.
    """

    file: str = ""
    old: str = Field(min_length=1)
    new: str


class Mutant(Model):
    """A mistake, as data.

    Attributes:
        name: short, unique.
        mistake: what it is, in a sentence.
        names: what findings must name, of what the stage's can (STAGES): requirements, or a word for the stage.
        call: patterns (fnmatch) of the requirements of the call that it is in, if `names` has others.
        stage: the cheapest that must catch it.
        shows: what a finding must say, a regular expression; for stages that find more than one kind of thing.
        change: the replacements.
    """

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    mistake: str = Field(pattern=r"\.$")
    names: tuple[str, ...] = Field(min_length=1)
    call: tuple[str, ...] = ()
    stage: Stage
    shows: str = ""
    change: tuple[Change, ...] = Field(min_length=1)

    def identity(self) -> str:
        """Return a hash of what the mutant is and must be caught by; the rest may change."""
        return digest(self.model_dump(exclude={"name", "mistake", "call"}))[:12]


class _Catalogue(Model):
    file: str
    mutant: tuple[Mutant, ...] = Field(min_length=1)


def load(assignment: Assignment) -> tuple[Mutant, ...]:
    """Return all mutants of an assignment.

    Raises:
        UsageError: it has none, or its data is wrong; says where.
    """
    if not assignment.has(MUTANTS):
        raise UsageError(f"the assignment {assignment.name} has no mutants", hint=f"it has no {MUTANTS}")
    path = assignment.directory / MUTANTS
    own = data.load(path, _Catalogue, UsageError)
    found: list[Mutant] = []
    for one in own.mutant:
        if one.name in {other.name for other in found}:
            raise UsageError(f"{path}: two mutants are called {one.name}")
        known = (*STAGES[one.stage], *(assignment.requirements if one.stage in BOOTED else ()))
        if wrong := [name for name in one.names if name not in known]:
            raise UsageError(f"{path}: {one.name}: no finding of {one.stage} can name {wrong[0]}")
        if wrong := [call for call in one.call if not fnmatch.filter(assignment.requirements, call)]:
            raise UsageError(f"{path}: {one.name}: {wrong[0]} is no requirement of a call")
        change = tuple(each.model_copy(update={"file": each.file or own.file}) for each in one.change)
        found.append(one.model_copy(update={"change": change}))
    return tuple(found)


def make(mutant: Mutant, assignment: Assignment, target: Path) -> None:
    """Write the mutant's templates: the assignment's, with its replacements.

    Raises:
        SeriesError: one does not match exactly once.
    """
    unwanted = shutil.ignore_patterns("__pycache__", "scenarios", "guest", "model", KILL_MATRIX, MUTANTS)
    shutil.copytree(assignment.directory, target, ignore=unwanted)
    for change in mutant.change:
        path = target / change.file
        text = path.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            message = f"mutant {mutant.name}: {change.file} has {text.count(change.old)} times what it replaces"
            raise SeriesError(message, evidence=change.old)
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def compose_mutant(mutant: Mutant, project: Project, origin: Source, scratch: Path) -> compose.Composed:
    """Return the mutant's commits on the base: each patch of the series, or all as one where only the whole counts.

    Raises:
        SeriesError: a template or an anchor of it is wrong.
    """
    place = scratch / project.assignment.name
    make(mutant, project.assignment, place)
    ours = project.settings.submission
    steps = compose.render_series(series.load(place, base=project.base.name), origin, ours)
    if mutant.stage in (*BOOTED, "build", "x86_64"):
        steps = [compose.squash(steps)]
    return compose.commit(origin, steps, ours, project.cache)
