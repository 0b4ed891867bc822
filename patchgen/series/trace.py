"""Where the lines of a series are from: a file of the kernel tree, line by line, beside the templates that made it.

A compiler and checkpatch speak of the file in the tree; its author edits the template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from patchgen.base.resolve import Source
from patchgen.errors import SeriesError
from patchgen.series import compose, edits, render
from patchgen.series.model import Edit, Series
from patchgen.settings import Submission

_PLACE = re.compile(r"(?<![\w./-])(?:[\w.-]+/)*?(?P<path>(?:[\w.-]+/)*[\w.-]+\.[chS]):(?P<line>\d+)(?![\w])")


@dataclass(frozen=True)
class Line:
    """A line of a file as the whole series leaves it.

    Attributes:
        origin: "FILE:LINE" of the template in the directory of the series, "" for a line of the base.
        text: without its end.
    """

    origin: str
    text: str


def lines(series: Series, source: Source, submission: Submission, path: str) -> list[Line]:
    """Return the lines of a file.

    Raises:
        SeriesError: the series does not touch that file, or a template is wrong.
    """
    touching = [patch for patch in series.patches if path in patch.paths]
    if not touching:
        known = sorted({one for patch in series.patches for one in patch.paths})
        raise SeriesError(f"the series does not touch {path}", hint=f"it touches {', '.join(known)}")
    if path not in series.edits:
        names = render.context(series, touching[-1], submission.authors)
        template = series.new_file(path)
        return _rendered(series, template.read_text(encoding="utf-8"), names, (template, 1))
    found = [Line("", text) for text in compose.base_file(source, path).splitlines()]
    origin = series.edit_file(path)
    whole = origin.read_text(encoding="utf-8")
    for patch in touching:
        names = render.context(series, patch, submission.authors)
        for edit in series.edits[path]:
            if edit.patch == patch.id:
                begins = whole[: max(whole.find(edit.text), 0)].count("\n") + 1
                found = _edited(found, edit, _rendered(series, edit.text, names, (origin, begins)))
    return found


def _edited(before: Sequence[Line], edit: Edit, fresh: Sequence[Line]) -> list[Line]:
    """Return lines with an edit made, as edits.apply makes it; that it can be made has been seen."""
    begin = edits.locate([one.text for one in before], edit.anchor)[0]
    behind = begin + len(edit.anchor.splitlines())
    first, last = {"after": (behind, behind), "before": (begin, begin)}.get(edit.where, (begin, behind))
    return [*before[:first], *fresh, *before[last:]]


def _rendered(series: Series, text: str, names: Mapping[str, object], place: tuple[Path, int]) -> list[Line]:
    origin, line = place
    shown = origin.relative_to(series.directory) if origin.is_relative_to(series.directory) else origin
    return [Line(f"{shown}:{number}", one) for number, one in render.numbered(text, names, origin, line=line)]


def explained(text: str, series: Series, source: Source, submission: Submission) -> list[str]:
    """Return, for each place in a compiler's or checkpatch's words that the series has made, where it is from."""
    paths = {path for patch in series.patches for path in patch.paths}
    known: dict[str, list[Line]] = {}
    said: dict[str, None] = {}
    for place in _PLACE.finditer(text):
        # A compiler that runs in the build directory says ../src/mm/x.c.
        path = next(
            (one for one in paths if place["path"] == one or place[0].partition(":")[0].endswith(f"/{one}")), ""
        )
        if path:
            known[path] = known.get(path) or lines(series, source, submission, path)
            number = int(place["line"])
            if 0 < number <= len(known[path]) and known[path][number - 1].origin:
                said[f"{path}:{number} is line {known[path][number - 1].origin}"] = None
    return list(said)
