"""The command mark: marks anew for what a batch has graded already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common
from patchgen.errors import SubmissionError, UsageError

if TYPE_CHECKING:
    from patchgen.grading.register import Entry
    from patchgen.grading.table import Row

VERDICTS = Path("verdicts")
OWN_DATE = "mtime"  # what --submitted takes for the file's own date


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(mark)


def mark(
    rubric: Annotated[
        Path | None, typer.Option("--rubric", metavar="FILE", help="Give points by this rubric (TOML).")
    ] = None,
    submitted: Annotated[
        str | None,
        typer.Option("--submitted", metavar="DATE", help="Say when all were handed in; mtime: the files' own dates."),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="DATE", help="Say until when it could be; default: the rubric's, if any."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The directory that verify --output has written.")
    ] = VERDICTS,
    json: common.Json = False,
) -> None:
    """Give marks anew to kept verdicts.

    No guest starts. The table and the pages follow another rubric, another deadline, and DIR/adjustments.csv.
    """
    from patchgen.assignment import RUBRIC, load
    from patchgen.grading import register as registers
    from patchgen.grading import rubric as rubrics
    from patchgen.grading.sheet import Sheet, Terms, kept

    last = registers.read(output)
    if last is None:
        raise UsageError(f"{output} has no {registers.FILE}", hint="patchgen verify --output DIR PATH... writes it")
    assignment = load(last.assignment)
    chosen = rubrics.load(assignment, rubric or assignment.directory / RUBRIC)
    until = parse_moment("--deadline", deadline) or chosen.deadline
    terms = Terms(output, assignment, chosen, until, common.load_settings().cache)
    entries = tuple(_dated(one, submitted) for one in last.entries)
    sheet = Sheet(terms, last.model_copy(update={"entries": entries}))
    for entry in entries:
        sheet.enter(entry, kept(output, entry.key) if entry.key else None)
    raise typer.Exit(report(sheet.end(), output, json))


def _dated(entry: Entry, submitted: str | None) -> Entry:
    """Return what is known of a submission, with the date that the command line says."""
    if submitted is None:
        return entry
    try:
        moment = submission_moment(Path(entry.name), submitted)
    except SubmissionError:
        return entry
    return entry.model_copy(update={"submitted": moment or entry.submitted})


def report(rows: Sequence[Row], out: Path, json: bool) -> int:
    """Print what became of a batch and return the exit status."""
    from patchgen.grading import sheet

    if json:
        listed = [
            {
                "submission": row.name,
                "status": row.status,
                "mark": row.marks.mark if row.marks else None,
                "changed": row.changed,
                "page": row.file,
                "why": row.why,
            }
            for row in rows
        ]
        common.emit({"results": str(out / sheet.RESULTS), "submissions": listed})
    else:
        from patchgen.cli import show

        show.lines(lambda: [*map(_listed, rows), str(out / sheet.RESULTS)])
    return sheet.exit_status(rows)


def _listed(row: Row) -> str:
    from patchgen.grading import text

    what = text.headline(row.verdict) if row.verdict else f"{row.status}: {row.why}"
    changed = f"  [{row.changed}]" if row.changed else ""
    return text.cut(f"{text.one_line(row.name)}: {text.one_line(what)}{changed}")


def parse_moment(option: str, text: str | None) -> datetime | None:
    """Return a date, or a date and time, in ISO form; UTC unless it has a zone.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: must be like 2023-04-19T23:59:59+02:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def submission_moment(path: Path, text: str | None) -> datetime | None:
    """Return when a submission was handed in: the date given, or that of the file.

    Raises:
        UsageError: the date is none.
        SubmissionError: that of the file is none.
    """
    if text == OWN_DATE:
        try:
            return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None
        except (ValueError, OverflowError, OSError) as error:
            raise SubmissionError(f"{path}: the date of the file is none: {error}") from error
    return parse_moment("--submitted", text)
