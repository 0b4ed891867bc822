"""The catalogue of mutants: mistakes that people really make, as data, and the series that each of them makes.

A mutant is a few replacements in the templates of pf_stat (tests/mutants.toml).
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field

from patchgen import resources
from patchgen.base.resolve import Source
from patchgen.cache import digest
from patchgen.errors import SeriesError
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.series import model as series
from patchgen.testing.requirements import demands
from patchgen.validation import Model

FILE = Path(__file__).parent / "mutants.toml"
SERIES = "pf_stat"
CODE = "files/arch/x86/mm/pf_stat.c.j2"

Stage = Literal["check", "build", "patches", "x86_64", "test", "torture", "cost"]
# What the findings of a stage can name; those of scenarios name requirements.
STAGES: dict[str, tuple[str, ...]] = {
    "check": ("style", "build"),
    "build": ("build",),
    "patches": ("build",),
    "x86_64": ("build",),
    "test": tuple(demands()),
    "torture": ("robustness",),
    "cost": ("cost",),
}
# Their kernels boot, so they also meet every scenario.
BOOTED = ("test", "torture", "cost")


class Change(Model):
    """A replacement in one template; `old` must be there exactly once.

    Attributes:
        file: its path below templates/pf_stat; the C file if none is named.
        old: text of ours.
        new: what a mistaken author has there.
    """

    file: str = CODE
    old: str = Field(min_length=1)
    new: str


class Mutant(Model):
    """A mistake, as data.

    Attributes:
        name: short, unique.
        mistake: what it is, in a sentence.
        names: what findings must name, of what the stage's can (STAGES).
        stage: the cheapest that must catch it.
        shows: what a finding must say, a regular expression; for stages that find more than one kind of thing.
        change: the replacements.
    """

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    mistake: str = Field(pattern=r"\.$")
    names: tuple[str, ...] = Field(min_length=1)
    stage: Stage
    shows: str = ""
    change: tuple[Change, ...] = Field(min_length=1)

    def identity(self) -> str:
        """Return a hash of what the mutant is and must be caught by; its name and description may change."""
        return digest(self.model_dump(exclude={"name", "mistake"}))[:12]


def catalogue() -> tuple[Mutant, ...]:
    """Return all mutants.

    Raises:
        ValueError: the file is wrong.
    """
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Mutant.model_validate(one) for one in data["mutant"])


def make(mutant: Mutant, target: Path) -> None:
    """Write the mutant's templates: ours, with its replacements.

    Raises:
        SeriesError: one does not match exactly once.
    """
    shutil.copytree(resources.TEMPLATES / SERIES, target)
    for change in mutant.change:
        path = target / change.file
        text = path.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            message = f"mutant {mutant.name}: {change.file} has {text.count(change.old)} times what it replaces"
            raise SeriesError(message, evidence=change.old)
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def compose_mutant(mutant: Mutant, project: Project, origin: Source, scratch: Path) -> compose.Composed:
    """Return the mutant's commits on the base.

    Raises:
        SeriesError: a template or an anchor of it is wrong.
    """
    make(mutant, scratch / SERIES)
    ours = project.settings.submission
    return compose.commit(
        origin, compose.render_series(series.load(scratch / SERIES), origin, ours), ours, project.cache
    )
