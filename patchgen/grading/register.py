"""What a batch remembers of its submissions: submissions.json, from which everything else is made anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import Field

from patchgen.cache import write_text
from patchgen.data import Model
from patchgen.errors import UsageError
from patchgen.findings import Result

FILE = "submissions.json"


class Entry(Model):
    """A submission.

    Attributes:
        name: as it was given.
        key: of its verdict; "" if it could not even be read.
        submitted: when it was handed in; None if that is not known.
        status: what became of it, if it has no verdict.
        why: the reason.
    """

    name: str
    key: str = ""
    submitted: datetime | None = None
    status: Result = Result.ERROR
    why: str = ""


class Before(Model):
    """The marks of a submission after the last run that came to its end.

    Attributes:
        mark: None if it had none.
        items: points of the rubric's items.
    """

    mark: float | None = None
    items: dict[str, float | None] = Field(default_factory=dict)


class Register(Model):
    """All of it.

    Attributes:
        assignment: its name or directory.
        graded: names of the stages that points are given for.
        entries: the submissions in their order.
        before: marks of the last run, by submission.
    """

    assignment: str
    graded: tuple[str, ...]
    entries: tuple[Entry, ...] = ()
    before: dict[str, Before] = Field(default_factory=dict)

    def write(self, directory: Path, entries: Sequence[Entry]) -> None:
        """Keep it with these entries.

        Raises:
            MachineError: the file cannot be written.
        """
        kept = self.model_copy(update={"entries": tuple(entries)})
        # In ASCII: a file's name may be no text.
        write_text(directory / FILE, json.dumps(kept.model_dump(), indent=1, default=str) + "\n")


def read(directory: Path) -> Register | None:
    """Return what a batch has remembered; None if it was none.

    Raises:
        UsageError: it cannot be read.
    """
    path = directory / FILE
    try:
        return Register.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}", hint="remove it, and verify once more") from error
