"""The table of a batch: results.csv, one row for each submission."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from patchgen.findings import Result
from patchgen.grading.model import Marks, Verdict
from patchgen.grading.order import ranked
from patchgen.text import one_line

_HEAD = (
    "submission", "status", "mark", "of", "days late", "penalty", "changed", "first finding", "verdict",
    "for the student", "why",
)  # fmt: skip
# What a spreadsheet would take for a formula: at the beginning of a cell, and behind what ends one in some countries.
_FORMULA = re.compile(r"(^[\s\"']*|[;|][\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


@dataclass(frozen=True)
class Row:
    """What became of one submission.

    Attributes:
        name: as it was given.
        status: PASS, FAIL or ERROR.
        verdict: what was found; None if its process failed.
        marks: with what is taken off for being late.
        file: name of the page for the grader, "" if there is none.
        why: of a submission without a verdict, what happened.
        page: name of the page for the student, "" if there is none.
        changed: what the last run had otherwise.
    """

    name: str
    status: Result
    verdict: Verdict | None
    marks: Marks | None
    file: str = ""
    why: str = ""
    page: str = ""
    changed: str = ""


def cell(text: str) -> str:
    """Return text as a cell that a spreadsheet shows and does not compute."""
    shown = _FORMULA.sub(r"\1'", one_line(text))
    return f"'{shown}" if text.startswith(("\t", "\r")) else shown


def write(rows: Sequence[Row], items: Sequence[str], whole: float) -> str:
    """Return the table as CSV.

    Args:
        rows: the submissions.
        items: ids of the rubric's items, each of which has a column.
        whole: all the points that there are for what was asked.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_HEAD, *items])
    for row in rows:
        writer.writerow([*_first(row, whole), *_items(row, items)])
    return out.getvalue()


def _first(row: Row, whole: float) -> list[str]:
    marks = row.marks
    found = ranked(row.verdict.findings) if row.verdict else []
    return [
        cell(row.name),
        row.status,
        _number(marks.mark) if marks else "",
        _number(whole),
        "" if marks is None or marks.days_late is None else str(marks.days_late),
        _number(marks.penalty) if marks else "",
        cell(row.changed),
        cell(found[0].message) if found else "",
        cell(row.file),
        cell(row.page),
        cell(row.why),
    ]


def _items(row: Row, items: Sequence[str]) -> list[str]:
    earned = {item.id: item.earned for item in row.marks.items} if row.marks else {}
    return [_number(earned.get(item)) for item in items]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
