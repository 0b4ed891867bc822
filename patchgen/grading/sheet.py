"""The marks of a batch: its table and its pages, made from the verdicts that it keeps.

Whatever is said here follows from what is kept, the rubric, the dates and adjustments.csv, so it is made anew in each
run, and nothing of an older one is left.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from patchgen.assignment import Assignment
from patchgen.cache import digest, write_text
from patchgen.errors import MachineError
from patchgen.findings import Result
from patchgen.grading import adjustments, forms, marking, page, shown, table
from patchgen.grading.clean import clean
from patchgen.grading.marking import Adjustment, Dates
from patchgen.grading.model import Marks, Verdict
from patchgen.grading.register import Before, Entry, Register
from patchgen.grading.rubric import Rubric
from patchgen.grading.table import Row

RESULTS = "results.csv"
_VERDICTS, _FOR_STUDENTS, _FOR_GRADER = "verdicts", "pages", "grader"
_PAGE = re.compile(r"[A-Za-z0-9_-]+-[0-9a-f]{8}\.html")


@dataclass(frozen=True)
class Terms:
    """What marks depend on beside what was found.

    Attributes:
        out: directory of the batch.
        assignment: what the submissions are for.
        rubric: what there are points for.
        deadline: until when they could be handed in.
        cache: directory of the machine that no student needs to know.
        form: another form in which each verdict is written, too (forms.py); "" for none.
    """

    out: Path
    assignment: Assignment
    rubric: Rubric
    deadline: datetime | None
    cache: Path
    form: str = ""


def kept(out: Path, key: str) -> Verdict | None:
    """Return a verdict that was kept, if it is whole."""
    with contextlib.suppress(OSError, ValidationError):
        return Verdict.model_validate_json(_file(out, key).read_text(encoding="utf-8"))
    return None


def keep(out: Path, key: str, verdict: str) -> None:
    """Keep the JSON of a verdict.

    Raises:
        MachineError: the file cannot be written.
    """
    write_text(_file(out, key), verdict)


def _file(out: Path, key: str) -> Path:
    return out / _VERDICTS / f"{key}.json"


def page_name(path: Path, key: str) -> str:
    """Return the file name of a submission's page: what can be read of its own name, and what makes it unique."""
    stem = "".join(char for char in path.name.split(".")[0] if char.isascii() and (char.isalnum() or char in "-_"))
    return f"{stem[:40] or 'submission'}-{digest(str(path), key)[:8]}.html"


@dataclass
class Sheet:
    """The marks under way.

    Attributes:
        terms: what they depend on.
        register: what is remembered of the batch.
        entries: the submissions that are done, by name.
    """

    terms: Terms
    register: Register
    entries: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is left of the last run: what the grader gives by hand, and the marks that there were."""
        names = {one.name for one in self.register.entries}
        self._by_hand: Mapping[str, Mapping[str, Adjustment]] = adjustments.read(
            self.terms.out, names, self.terms.rubric
        )
        self._machine = shown.places(self.terms.cache)
        self._rows: dict[str, Row] = {}

    def enter(self, entry: Entry, verdict: Verdict | None) -> Row:
        """Take a submission and return its row; its pages are written.

        Args:
            entry: what is known of it.
            verdict: as it was found, None if there is none.

        Raises:
            MachineError: a page cannot be written.
        """
        self.entries[entry.name] = entry
        row = self._row(entry, verdict) if verdict else Row(entry.name, entry.status, None, None, why=entry.why)
        self._rows[entry.name] = row
        return row

    def write(self) -> list[Row]:
        """Write the table of what is done, in the order of the register, and return its rows.

        Raises:
            MachineError: it cannot be written.
        """
        rows = [self._rows[one.name] for one in self.register.entries if one.name in self._rows]
        items = [item.id for item in self.terms.rubric.items]
        whole = self.terms.rubric.whole(self.register.graded)
        write_text(self.terms.out / RESULTS, table.write(rows, items, whole))
        return rows

    def end(self) -> list[Row]:
        """Write the table and what the next run needs to know, and remove the pages of former runs.

        Raises:
            MachineError: something cannot be written, or removed.
        """
        rows = self.write()
        before = {row.name: _before(row.marks) for row in rows}
        entries = [self.entries[one.name] for one in self.register.entries]
        self.register.model_copy(update={"before": before}).write(self.terms.out, entries)
        if self.terms.form:
            self._write_forms([row for row in rows if row.verdict])
        _sweep(self.terms.out, {name for row in rows for name in (row.file, row.page)})
        return rows

    def _write_forms(self, rows: Sequence[Row]) -> None:
        """Write each verdict in the form that was asked for, or all of them in one file."""
        form = forms.FORMS[self.terms.form]
        place = self.terms.out / self.terms.form
        if whole := forms.together(self.terms.form, [row.verdict for row in rows if row.verdict]):
            write_text(place.with_suffix(f".{form.suffix}"), whole)
            return
        shutil.rmtree(place, ignore_errors=True)
        for row in rows:
            assert row.verdict is not None, "those that have none were left out"
            made = forms.render(self.terms.form, row.verdict, self.terms.rubric, self._machine)
            if made:
                write_text(place / f"{Path(row.file).stem}.{form.suffix}", made)

    def _row(self, entry: Entry, verdict: Verdict) -> Row:
        terms = self.terms
        dates = Dates(entry.submitted, terms.deadline)
        named = verdict.model_copy(update={"submission": entry.name})
        marked = marking.mark(named, terms.rubric, terms.assignment, self._by_hand.get(entry.name), dates)
        later = terms.deadline is not None and datetime.now(UTC) > terms.deadline
        theirs = shown.to_students(marked, terms.rubric, later, self._machine)
        name = page_name(Path(entry.name), entry.key)
        files = {_FOR_GRADER: marked, _FOR_STUDENTS: theirs}
        for place, one in files.items():
            write_text(terms.out / place / name, page.render(clean(one), terms.assignment.page))
        return Row(
            entry.name,
            marked.status,
            clean(marked),
            marked.marks,
            f"{_FOR_GRADER}/{name}",
            page=f"{_FOR_STUDENTS}/{name}",
            changed=_changed(self.register.before.get(entry.name), marked.marks),
        )


def _before(marks: Marks | None) -> Before:
    return Before(mark=marks.mark, items={one.id: one.earned for one in marks.items}) if marks else Before()


def _changed(before: Before | None, marks: Marks) -> str:
    """Return what the last run had otherwise: the mark, and the items of the rubric."""
    now = _before(marks)
    if before is None or now == before:
        return ""
    ids = [*now.items, *(one for one in before.items if one not in now.items)]
    pairs = [(one, before.items.get(one), now.items.get(one)) for one in ids]
    items = [f"{one} {_said(old)} -> {_said(new)}" for one, old, new in pairs if old != new]
    mark = [f"{_said(before.mark)} -> {_said(now.mark)}"] if before.mark != now.mark else []
    return ": ".join([*mark, *filter(None, [", ".join(items)])])


def _said(points: float | None) -> str:
    return "none" if points is None else f"{points:g}"


def _sweep(out: Path, current: Iterable[str]) -> None:
    """Remove the pages that are none of these."""
    names = {*current}
    for place in (_FOR_GRADER, _FOR_STUDENTS):
        directory = out / place
        for file in sorted(directory.iterdir()) if directory.is_dir() else ():
            if _PAGE.fullmatch(file.name) and f"{place}/{file.name}" not in names:
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    raise MachineError(f"cannot remove {file}: {error.strerror}") from error


def exit_status(rows: Sequence[Row]) -> int:
    """Return 3 if something was not graded, else 1 if something is wrong, else 0."""
    found = {row.status for row in rows}
    return 3 if Result.ERROR in found else 1 if Result.FAIL in found else 0
