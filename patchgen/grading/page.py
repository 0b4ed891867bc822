"""A verdict as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

Everything that came from a submission is escaped by the template, and was made visible before (visible.py).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from patchgen.assignment import Page
from patchgen.findings import Result, Severity
from patchgen.grading import order, picture, text
from patchgen.grading.model import CostTable, RequirementRow, Verdict

_TEMPLATE = Path(__file__).with_suffix(".html.j2")
_OPEN = 3  # findings whose evidence is shown without a click
_FEW = 3  # known mistakes that are shown at once
_TITLE = 110  # characters of a title: two lines of a phone
_MANY = 12  # findings that are shown at once
_PICTURES = 6
_TITLES = {
    "archive": "Archive",
    "patches": "Patches",
    "style": "Style",
    "build": "Build",
    "behaviour": "Behaviour",
    "robustness": "Robustness",
    "cost": "Cost",
}
_CLASSES: dict[str, str] = {
    Result.PASS: "good",
    Result.FAIL: "bad",
    Result.SKIP: "some",
    Result.ERROR: "some",
    Severity.WARNING: "some",
}


@dataclass(frozen=True)
class _Bar:
    """A bar of the cost chart; the shares are percent of the widest."""

    title: str
    vanilla: int
    tracked: int
    idle: int
    plain: float
    more: float


@dataclass(frozen=True)
class _Group:
    """A section of the sentences.

    Attributes:
        id: of the section, "S" for what sentences mean.
        title: for people.
        sentences: in it.
    """

    id: str
    title: str
    requirements: tuple[RequirementRow, ...]


def render(verdict: Verdict, look: Page) -> str:
    """Return the page.

    Args:
        verdict: what it shows.
        look: what the assignment says of it.
    """
    drawn = [(row, picture.columns(row.picture)) for row in verdict.scenarios if row.picture]
    # A failure that shows in no area has no picture worth looking at.
    failed = [one for one in drawn if one[0].result is Result.FAIL and any(area.wrong for area in one[1].columns)]
    return _template().render(
        verdict=verdict,
        headline=_figure(verdict),
        late=text.lateness(verdict.marks),
        problems=order.causes(verdict.findings, verdict.diagnosis),
        failures=sum(bool(set(row.violated) & set(row.requirements)) for row in verdict.scenarios),
        notes=[one for one in verdict.findings if one.severity == "note" and one.check != "blocked"],
        opened=_OPEN,
        many=_MANY,
        few=_FEW,
        titles=_TITLES,
        pictures=failed[:_PICTURES] or [one for one in drawn if one[0].result is Result.PASS][:1],
        hidden=max(0, len(failed) - _PICTURES),
        groups=_groups(verdict, look.sections),
        about_pictures=look.picture,
        bars=_bars(verdict.costs) if verdict.costs else [],
        status=Result,
        whole=sum(item.points for item in verdict.marks.items),
    )


@functools.cache
def _template() -> jinja2.Template:
    """Return the template, compiled: that takes longer than a page."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"kind": _kind, "title": _title}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def _kind(word: str) -> str:
    return _CLASSES.get(str(word), "none")


def _title(message: str) -> str:
    """Return the first line of a message, not longer than a title may be."""
    return text.cut(message.partition("\n")[0], _TITLE)


def _figure(verdict: Verdict) -> str:
    """Return the mark as the page shows it large."""
    marks = verdict.marks
    return f"{marks.earned:g}" if marks.mark is None else f"{marks.mark:g}"


def _groups(verdict: Verdict, sections: Mapping[str, str]) -> list[_Group]:
    found: dict[str, list[RequirementRow]] = {name: [] for name in sections}
    for sentence in verdict.requirements:
        section = "S" if sentence.id.startswith("S") else sentence.id.partition("-")[0]
        found.setdefault(section, []).append(sentence)
    return [_Group(name, sections.get(name, name), tuple(ones)) for name, ones in found.items() if ones]


def _bars(costs: CostTable) -> list[tuple[str, list[_Bar]]]:
    """Return the bars of each chart: what takes a hundred times as much as the rest has one of its own."""
    made = []
    light, full = costs.shown
    for title in dict.fromkeys(costs.charts.values()):
        rows = [row for row in costs.rows if costs.charts[row.group] == title]
        widest = max((row.vanilla + max(row.added[full], 0) for row in rows), default=1) or 1
        bars = [
            _Bar(
                row.title,
                row.vanilla,
                row.added[full],
                row.added[light],
                round(100 * row.vanilla / widest, 2),
                round(100 * max(row.added[full], 0) / widest, 2),
            )
            for row in rows
        ]
        made.append((title, bars))
    return made
