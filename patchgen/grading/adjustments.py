"""What a grader gives by hand: adjustments.csv in the directory of a batch, which the program only reads.

    submission,item,points,reason
    handed-in/s42.tar.gz,report-content,0.5,says what but not why

`submission` is a name of the table or its last part, `item` an id of the rubric, `points` what the item earns in the
place of what was computed.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from patchgen.errors import UsageError
from patchgen.grading.marking import Adjustment
from patchgen.grading.rubric import Item, Rubric
from patchgen.grading.table import cell

FILE = "adjustments.csv"
_HEAD = ["submission", "item", "points", "reason"]


def read(directory: Path, submissions: Iterable[str], rubric: Rubric) -> Mapping[str, Mapping[str, Adjustment]]:
    """Return what is given by hand, by submission and item; nothing if there is no such file.

    Args:
        directory: of the batch.
        submissions: names of all of them.
        rubric: has the items.

    Raises:
        UsageError: the file cannot be read, or a line of it is wrong; says which.
    """
    path = directory / FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    # A spreadsheet writes semicolons where numbers have a comma in them.
    lines = csv.reader(text.splitlines(), delimiter=";" if ";" in text.partition("\n")[0] else ",")
    found: dict[str, dict[str, Adjustment]] = defaultdict(dict)
    known = _names(submissions)
    items = {item.id: item for item in rubric.items}
    for row in lines:
        where = f"{path}, line {lines.line_num}"
        if lines.line_num == 1:
            if [one.strip() for one in row] != _HEAD:
                raise UsageError(f"{where}: must be {','.join(_HEAD)}")
        elif any(one.strip() for one in row):
            name, item, given = _line(row, where, known, items)
            if item in found[name]:
                raise UsageError(f"{where}: {item} of {name} is given twice")
            found[name][item] = given
    return found


def _names(submissions: Iterable[str]) -> dict[str, set[str]]:
    """Return the submissions that a name can mean."""
    known: dict[str, set[str]] = defaultdict(set)
    for name in submissions:
        for one in (name, cell(name), Path(name).name):
            known[one].add(name)
    return known


def _line(
    row: list[str], where: str, known: Mapping[str, set[str]], items: Mapping[str, Item]
) -> tuple[str, str, Adjustment]:
    """Return what a line says: submission, item, and what it is given."""
    if len(row) != len(_HEAD):
        raise UsageError(f"{where}: {len(row)} columns instead of {len(_HEAD)}", hint="quote a text that has a comma")
    name, id_, points, reason = (one.strip() for one in row)
    meant = known.get(name, set())
    if len(meant) != 1:
        what = "no submission" if not meant else f"{len(meant)} submissions"
        raise UsageError(f"{where}: {what} {name}", hint="the names are in the first column of results.csv")
    item = items.get(id_)
    if item is None:
        raise UsageError(f"{where}: the rubric has no item {id_}", hint=f"it has {', '.join(items)}")
    try:
        number = float(points.replace(",", "."))
    except ValueError:
        number = math.nan
    if not 0 <= number <= item.points:
        raise UsageError(f"{where}: points {points or 'missing'}: must be a number from 0 to {item.points:g}")
    return meant.copy().pop(), id_, Adjustment(number, reason)
