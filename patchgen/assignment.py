"""An assignment: everything that is particular to one exercise of a course, read from its directory.

    templates/NAME/assignment.toml      title, form of the submission, sections, what each check stands on
    templates/NAME/requirements.toml    the sentences of the assignment
    templates/NAME/series.toml ...      the reference series (patchgen.series.model)
    templates/NAME/scenarios/           Python functions of a Lab, and C programs (patchgen.testing.suite)
    templates/NAME/guest/               programs of its guests, with their entries for the initramfs
    templates/NAME/rubric.toml          what there are points for (patchgen.grading.rubric)
    templates/NAME/mutants.toml         mistakes that people make, and the requirement that each breaks
    templates/NAME/cost.toml            what is measured; where it is missing there is no such stage
    templates/NAME/stress.toml          what the stress test does; where it is missing there is no such stage

Nothing else in this package knows an assignment.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, field_validator

from patchgen import data, resources
from patchgen.cache import digest, file_digest
from patchgen.data import Model
from patchgen.errors import UsageError
from patchgen.findings import Finding

FILE = "assignment.toml"
REQUIREMENTS = "requirements.toml"
RUBRIC = "rubric.toml"
ALLOWED = "allowed.toml"
COST = "cost.toml"
STRESS = "stress.toml"
MUTANTS = "mutants.toml"
KILL_MATRIX = "kill_matrix.json"


class Requirement(Model):
    """One sentence of an assignment.

    Attributes:
        id: section of the assignment and number of the sentence in it, or a letter and a number for what they mean.
        text: the sentence, in short.
        check: the test (a pytest node) that stands for it where no scenario can; "" otherwise.
    """

    id: str = Field(pattern=r"^[A-Z]?\d+(\.\d+)*(-\d+)?$")
    text: str
    check: str = ""


class _Requirements(Model):
    requirement: list[Requirement] = Field(min_length=1)

    @field_validator("requirement")
    @classmethod
    def _unique(cls, given: list[Requirement]) -> list[Requirement]:
        ids = [one.id for one in given]
        if twice := next((one for one in ids if ids.count(one) > 1), ""):
            raise ValueError(f"two requirements have the id {twice}")
        return given


class Report(Model):
    """The report that goes with a submission.

    Attributes:
        pages: that it may have.
    """

    pages: int = Field(gt=0)


class Form(Model):
    """The form of a submission.

    Attributes:
        archive: the file's name, which ends with .tar.gz. What is in it lies in a directory `patch`.
        report: the report beside the patches; None if there is none.
    """

    archive: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.tar\.gz$")
    report: Report | None = None


class Guest(Model):
    """The guests of an assignment.

    Attributes:
        defines: macros that its programs are compiled with: the parameter of the series that has the value, by macro.
        try_first: a command to try in an interactive guest, "" for none.
        log_prefix: the parameter of the series with what error lines in the kernel log begin with; "" for none.
        reset: the shell line that undoes in the kernel what a scenario has done, so that the next one can have the same
            guest; "" if each has one of its own.
    """

    defines: dict[str, str] = Field(default_factory=dict)
    try_first: str = ""
    log_prefix: str = ""
    reset: str = ""


class Page(Model):
    """What the page of a verdict shows.

    Attributes:
        sections: titles of the assignment's sections, by their number; "S" for what sentences mean.
        example: the scenario whose picture is shown although it passes, "" for none.
        picture: what such a picture shows, in a sentence or two; "" for none.
    """

    sections: dict[str, str] = Field(default_factory=dict)
    example: str = ""
    picture: str = ""


class Foundation(Model):
    """Scenarios on which others rest (patchgen.testing.blame).

    Attributes:
        scenarios: their names: if one of them fails, scenarios about anything else than `requirements` are blocked.
        requirements: patterns (fnmatch) of the requirements that they are about.
    """

    scenarios: tuple[str, ...] = Field(min_length=1)
    requirements: tuple[str, ...] = Field(min_length=1)


class Exam(Model):
    """Random programs (patchgen.testing.exam).

    Attributes:
        module: the Python module of the assignment's directory that makes and checks them, with dots; "" for none.
    """

    module: str = ""


class _File(Model):
    title: str
    submission: Form
    guest: Guest = Guest()
    page: Page = Page()
    sound: tuple[str, ...] = ()
    leak: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    foundation: tuple[Foundation, ...] = ()
    essential: tuple[str, ...] = ()
    exam: Exam = Exam()
    checks: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    measured: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Assignment:
    """An assignment, read and checked.

    Attributes:
        directory: where it lies.
        title: for people.
        form: of a submission.
        guest: what its guests have.
        page: what the page of a verdict shows.
        requirements: its sentences by id, in its order.
        sound: ids of the requirements that a kernel breaks which dies or complains.
        leak: patterns (fnmatch) of the requirements, and of the checks, that only a leak is against.
        log: the same of what the kernel log is to have, and not to have.
        foundations: scenarios on which others rest, the deepest first.
        essential: names of the scenarios that show the least that has to work.
        checks: ids of the requirements that a finding of a check is against, by patterns (fnmatch) of the check's name.
        measured: of the costs that `patchgen bench` judges, those that the report names: its words, by the bar's.
        exam: the module with its random programs, "" if it has none.
    """

    directory: Path
    title: str
    form: Form
    guest: Guest
    page: Page
    requirements: Mapping[str, Requirement]
    sound: tuple[str, ...]
    leak: tuple[str, ...]
    log: tuple[str, ...]
    foundations: tuple[Foundation, ...]
    essential: tuple[str, ...]
    checks: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, str]
    exam: str = ""

    @property
    def name(self) -> str:
        """Its directory's name."""
        return self.directory.name

    @property
    def is_default(self) -> bool:
        """Whether it is worked on where nobody names one."""
        return self.directory == resources.TEMPLATES / default()

    def has(self, file: str) -> bool:
        """Whether its directory has a file."""
        return (self.directory / file).is_file()

    def broken_by(self, check: str) -> tuple[str, ...]:
        """Return the ids of the requirements that a finding of a check is against; () if none is known."""
        exact = self.checks.get(check)
        return exact or next((ids for one, ids in self.checks.items() if fnmatchcase(check, one)), ())

    def blame(self, finding: Finding) -> Finding:
        """Return a finding with the requirements that it is against, if it does not say so itself."""
        return finding if finding.requirements else replace(finding, requirements=self.broken_by(finding.check))

    def files(self) -> dict[str, Path]:
        """Return its files by their path below its directory, but those that have no say in what is found.

        These are the rubric, the kill matrix and what no one wrote: compiled Python, an editor's hidden files.
        """
        named = {path.relative_to(self.directory): path for path in sorted(self.directory.rglob("*"))}
        return {
            name.as_posix(): path
            for name, path in named.items()
            if name.as_posix() not in (RUBRIC, KILL_MATRIX)
            and "__pycache__" not in name.parts
            and not name.name.startswith(".")
            and path.is_file()
        }

    def digest(self) -> str:
        """Return a hash of `files`."""
        return digest("assignment", [(name, file_digest(path)) for name, path in self.files().items()])


@functools.cache
def default() -> str:
    """Return the name of the assignment that is worked on where nobody names one (templates/default.toml).

    Raises:
        UsageError: the file is wrong.
    """
    return str(data.read(resources.TEMPLATES / "default.toml", UsageError)["assignment"])


def names() -> list[str]:
    """Return the names of the assignments that come with the program."""
    return sorted(file.parent.name for file in resources.TEMPLATES.glob(f"*/{FILE}"))


def find(name: str) -> Path:
    """Return the directory of an assignment: one that comes with the program, or a path to one's own.

    Raises:
        UsageError: there is none.
    """
    for directory in (resources.TEMPLATES / name, Path(name)):
        if (directory / FILE).is_file():
            return directory.resolve()
    hint = f"known assignments: {', '.join(names())}; or give a directory that has {FILE}"
    raise UsageError(f"there is no assignment {name}", hint=hint)


def load(name: str = "") -> Assignment:
    """Read an assignment.

    Args:
        name: its name, or its directory; "" for the default one.

    Raises:
        UsageError: there is none, or its data is wrong.
    """
    return _load(find(name or default()))


@functools.cache
def _load(directory: Path) -> Assignment:
    own = data.load(directory / FILE, _File, UsageError)
    listed = data.load(directory / REQUIREMENTS, _Requirements, UsageError).requirement
    known = {one.id: one for one in listed}
    named = {"sound": own.sound, **{f"checks.{check}": ids for check, ids in own.checks.items()}}
    for where, ids in named.items():
        if unknown := [one for one in ids if one not in known]:
            raise UsageError(f"{directory / FILE}: {where}: {REQUIREMENTS} has no {unknown[0]}")
    return Assignment(
        directory=directory,
        title=own.title,
        form=own.submission,
        guest=own.guest,
        page=own.page,
        requirements=known,
        sound=own.sound,
        leak=own.leak,
        log=own.log,
        foundations=own.foundation,
        essential=own.essential,
        checks=own.checks,
        measured=own.measured,
        exam=own.exam.module,
    )


def within(requirement: str, part: str) -> bool:
    """Return whether a requirement's id is, or is in, a part of the assignment: an id, or a section, 2.2 or 2."""
    return requirement == part or requirement.startswith((f"{part}-", f"{part}."))
