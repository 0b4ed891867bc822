"""A verdict for a terminal: what matters most first, and no more than a screen of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

from patchgen.findings import Finding, Result, Severity
from patchgen.grading.model import ItemMark, Marks, Stage, Verdict
from patchgen.text import one_line

WIDTH = 100
_longest: ContextVar[int | None] = ContextVar("longest", default=WIDTH)
_PROBLEMS = 6
_MARKS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def summary(verdict: Verdict) -> Iterator[str]:
    """Yield the lines."""
    yield f"{one_line(verdict.submission)}: {headline(verdict)}"
    if verdict.marks.zero:
        yield cut(f"  The mark is 0. {one_line(verdict.marks.zero)}")
    if late := lateness(verdict.marks):
        yield f"  {late}"
    problems = ranked(verdict.findings)
    if problems:
        yield ""
    alike = groups(problems)
    for same in alike[:_PROBLEMS]:
        yield from _problem(same[0], len(same) - 1)
    if left := sum(len(same) for same in alike[_PROBLEMS:]):
        yield f"  ... and {left} more: --html FILE or --json shows them all"
    yield ""
    for stage in verdict.stages:
        yield cut(_stage(stage, verdict.findings))
    losses = [item for item in verdict.marks.items if _lost(item)]
    if losses and not verdict.marks.zero:
        yield ""
        yield cut("points lost: " + ", ".join(_loss(item) for item in losses))
    if unknown := [item for item in verdict.marks.items if item.status is Result.ERROR]:
        yield cut(f"not graded, so no point lost: {', '.join(f'{one.id} ({one.points:g})' for one in unknown)}")
    if any(stage.status is Result.SKIP and stage.number > 3 for stage in verdict.stages):
        yield "--stages 1-7 goes through all stages"


def headline(verdict: Verdict) -> str:
    """Return the verdict in a few words: status and mark."""
    marks = verdict.marks
    word = {Result.PASS: "pass", Result.FAIL: "FAIL", Result.ERROR: "NOT ALL GRADED"}[verdict.status]
    if marks.mark is None:
        return f"{word}, {marks.earned:g} of {marks.points:g} so far"
    whole = sum(item.points for item in marks.items)
    scale = f"{marks.points:g}" if not marks.zero else f"{whole:g}"
    rest = "" if marks.zero or marks.points == whole else f" ({whole:g} with what was not asked for)"
    return f"{word}, {marks.mark:g} of {scale}{rest}"


def lateness(marks: Marks) -> str:
    """Return what being late has cost, in words; "" if nothing is known or nothing was lost."""
    if not marks.days_late:
        return ""
    days = f"{marks.days_late} day{'s' if marks.days_late > 1 else ''}"
    return f"{days} late: {marks.penalty:,g} marks less"


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that are no notes, gravest first, otherwise in the order of the stages."""
    told = [finding for finding in findings if finding.severity is not Severity.NOTE]
    return sorted(told, key=lambda finding: _ORDER[finding.severity])


def groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return findings that say the same, together, in the order of the first of each.

    Of scenarios the same is what was wanted and what came; of other checks, the message without the place.
    """
    found: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        words = finding.message.partition(": ")[2] or finding.message
        if finding.check == "checkpatch":
            words = words.partition(":")[0]
        found.setdefault((finding.check, finding.severity, words), []).append(finding)
    return list(found.values())


def cut(line: str, width: int = WIDTH) -> str:
    """Return a line that is not longer than it may be (`longest`)."""
    most = _longest.get()
    if most is None:
        return line
    width += most - WIDTH
    return line if len(line) <= width else f"{line[: width - 3]}..."


@contextlib.contextmanager
def longest(characters: int | None) -> Iterator[None]:
    """Let lines be so long while the block runs; None: as long as they are."""
    token = _longest.set(characters)
    try:
        yield
    finally:
        _longest.reset(token)


def _problem(finding: Finding, more: int) -> Iterator[str]:
    where = f"{one_line(finding.where)}: " if finding.where else ""
    requirements = f"  [{', '.join(finding.requirements)}]" if finding.requirements else ""
    head = f"{_MARKS[finding.severity]:7} {where}{one_line(finding.message)}"
    yield cut(head, WIDTH - len(requirements)) + requirements
    if more:
        yield f"        and {more} more like this"
    lines = [line for line in finding.evidence.splitlines() if line.strip()]
    if lines and finding.check != "scenario":  # the beginning of a console says nothing
        yield cut(f"        | {one_line(lines[0])}")
    if finding.reproduce:
        yield cut(f"        reproduce: {one_line(finding.reproduce)}")


def _stage(stage: Stage, findings: Sequence[Finding]) -> str:
    said = [finding for finding in findings if finding.stage == stage.name]
    counts = [
        f"{count} {_MARKS[severity]}{'s' if count > 1 else ''}"
        for severity in (Severity.ERROR, Severity.WARNING)
        if (count := sum(finding.severity is severity for finding in said))
    ]
    facts = [one_line(f"{value} {name}" if value.isdigit() else value) for name, value in stage.facts.items()]
    unmade = [f"{check} could not be made: {one_line(why)}" for check, why in stage.errors.items()]
    what = [one_line(stage.why)] if stage.why else [*counts, *unmade, *facts]
    seconds = f"{stage.seconds:6.1f} s" if stage.seconds else " " * 8
    return f"{stage.number} {stage.name:10} {stage.status:13} {seconds}  {'; '.join(what)}"


def _lost(item: ItemMark) -> bool:
    return item.earned is not None and item.earned < item.points


def _loss(item: ItemMark) -> str:
    assert item.earned is not None, "it was judged"
    return f"{item.id} {item.points - item.earned:.2f} of {item.points:g}"
