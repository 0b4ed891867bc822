"""Settings: `patchgen.toml` for what belongs to a submission, the environment for what belongs to a machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from platformdirs import user_cache_path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from patchgen import assignment
from patchgen import data as files
from patchgen.data import first_problem
from patchgen.errors import UsageError

FILE_NAME = "patchgen.toml"
DEFAULT_BASE = "linux-4.15"  # the only base of a submission
_IDENTITY = re.compile(r"^(?P<name>[^<>\n]*\S) <(?P<email>[^<>@\s]+@[^<>@\s]+)>$")
PLACEHOLDER = "Your Name <you@example.com>"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _identity(text: str) -> str:
    if not _IDENTITY.match(text):
        raise ValueError("must look like 'First Last <name@host>'")
    return text


def _with_zone(date: datetime) -> datetime:
    """A date without a zone is UTC: the patches must not depend on where they are made."""
    return date if date.tzinfo else date.replace(tzinfo=UTC)


Identity = Annotated[str, AfterValidator(_identity)]
Moment = Annotated[datetime, AfterValidator(_with_zone)]


class Submission(_Model):
    """Who hands in, and what the report says of the work.

    Attributes:
        authors: "Name <mail>" of each; the first is the author of the commits.
        date: author and committer date of the first commit, UTC unless it has a zone; each further one is a minute
            later.
        hours: hours spent, None while nobody has filled it in.
        difficulties: the main difficulties, one paragraph each.
    """

    authors: list[Identity] = Field(default_factory=lambda: [PLACEHOLDER], min_length=1)
    date: Moment = datetime.fromisoformat("2023-04-01T12:00:00+00:00")
    hours: float | None = Field(default=None, ge=0)
    difficulties: list[str] = Field(default_factory=list)


class Settings(_Model):
    """Everything that can be set, with its default.

    Attributes:
        submission: who hands in.
        assignment: a directory of templates/, or a path to one elsewhere (ASSIGNMENT); "" for the default one.
        parameters: values that replace those of its series.toml; `--set` goes on top.
        base: the base that series are made on, of templates/bases (BASE).
        base_src: where it is if it is not one of submissions (BASE_SRC); None: the cache, else its own origin.
        linux_src: where linux-4.15 is (LINUX_SRC); None: the cache, else the download.
        linux_base: the commit in it that is the base (LINUX_BASE); None: found by its tree.
        test_program: the course's test program (TEST_PROGRAM), instead of ours.
        fork_program: the program to be tracked (FORK_PROGRAM), instead of ours.
        cache: directory of everything kept between runs (PATCHGEN_CACHE).
        jobs: parallel compiler processes (PATCHGEN_JOBS).
    """

    submission: Submission = Submission()
    assignment: str = ""
    parameters: dict[str, str | int] = Field(default_factory=dict)
    base: str = DEFAULT_BASE
    base_src: Path | None = None
    linux_src: Path | None = None
    linux_base: str | None = None
    test_program: Path | None = None
    fork_program: Path | None = None
    cache: Path = Field(default_factory=lambda: user_cache_path("patchgen"))
    jobs: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)

    def absolute(self) -> Settings:
        """Return the same for any directory: an assignment that is named by its path has its absolute path.

        Raises:
            UsageError: there is no such assignment.
        """
        return (
            self.model_copy(update={"assignment": str(assignment.find(self.assignment))}) if self.assignment else self
        )


_ENVIRONMENT = {
    "ASSIGNMENT": "assignment",
    "BASE": "base",
    "BASE_SRC": "base_src",
    "LINUX_SRC": "linux_src",
    "LINUX_BASE": "linux_base",
    "TEST_PROGRAM": "test_program",
    "FORK_PROGRAM": "fork_program",
    "PATCHGEN_CACHE": "cache",
    "PATCHGEN_JOBS": "jobs",
}


# All settings as JSON, for a patchgen that another one starts elsewhere (grading/worker.py).
HANDED_ON = "PATCHGEN_SETTINGS"
_PATHS = ("base_src", "linux_src", "test_program", "fork_program", "cache")


def split_identity(identity: str) -> tuple[str, str]:
    """Return name and mail address of "Name <mail>"."""
    match = _IDENTITY.match(identity)
    assert match is not None, "checked when the settings were read"
    return match["name"], match["email"]


def load(directory: Path) -> Settings:
    """Read `patchgen.toml` in `directory`, if there is one, and the environment on top of it.

    Relative paths are made absolute here, once: those of the file start from its directory. Where another patchgen has
    handed on its settings, they are taken as they are.

    Raises:
        UsageError: the file is not TOML, or has an unknown name or a value of the wrong kind.
    """
    if handed_on := os.environ.get(HANDED_ON):
        return Settings.model_validate_json(handed_on)
    path = directory / FILE_NAME
    data: dict[str, object] = {}
    if path.is_file():
        data = files.read(path, UsageError)
    for field in _PATHS:
        if isinstance(data.get(field), str):
            data[field] = (directory / Path(str(data[field])).expanduser()).absolute()
    for name, field in _ENVIRONMENT.items():
        value = os.environ.get(name)
        if value:
            data[field] = Path(value).expanduser().absolute() if field in _PATHS else value
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        where, what = first_problem(error)
        origin = next((n for n, f in _ENVIRONMENT.items() if f == where and os.environ.get(n)), str(path))
        raise UsageError(f"{origin}: {where}: {what}", hint=_hint(where, data)) from error


def _hint(where: str, data: Mapping[str, object]) -> str:
    """Return how a setting is written that many write otherwise."""
    submission = data.get("submission")
    authors = submission.get("authors") if isinstance(submission, dict) else None
    if where == "submission.authors" and isinstance(authors, str):
        return f"it is a list: authors = [{json.dumps(authors)}]"
    if where.startswith("submission.authors"):
        return 'authors = ["First Last <name@host>"]'
    if where in ("authors", "author", "submission.author"):
        return 'it stands in the section [submission]: authors = ["First Last <name@host>"]'
    return ""
