"""A verdict for a terminal: what matters most first, and no more than a screen of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

from patchgen.findings import Finding, Result, Severity
from patchgen.grading import order
from patchgen.grading.model import ItemMark, Marks, Stage, Verdict
from patchgen.text import one_line

WIDTH = 100
_longest: ContextVar[int | None] = ContextVar("longest", default=WIDTH)
_PROBLEMS = 6
_MISTAKES = 3
_MARKS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def summary(verdict: Verdict) -> Iterator[str]:
    """Yield the lines."""
    yield f"{one_line(verdict.submission)}: {headline(verdict)}"
    if verdict.marks.zero:
        yield cut(f"  The mark is 0. {one_line(verdict.marks.zero)}")
    if late := lateness(verdict.marks):
        yield f"  {late}"
    if verdict.marks.crash and not verdict.marks.zero:
        yield f"  the kernel crashes: {verdict.marks.crash:g} points less"
    yield from _diagnosis(verdict)
    found = order.causes(verdict.findings, verdict.diagnosis)
    if found:
        yield ""
    shown = _PROBLEMS - min(_MISTAKES, len(verdict.diagnosis))
    for cause in found[:shown]:
        yield from _problem(cause)
    if left := sum(1 + len(cause.rest) for cause in found[shown:]):
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


def _diagnosis(verdict: Verdict) -> Iterator[str]:
    """Yield what is known of what has failed: the mistakes, and what none of them explains."""
    if verdict.diagnosis:
        yield ""
    for one in verdict.diagnosis[:_MISTAKES]:
        requirements = f"  [{', '.join(one.requirements)}]" if one.requirements else ""
        cost = f"{one.points:.2f}" if one.points else ""
        yield cut(f"mistake {cost:>5} {one_line(one.mistake)}", WIDTH - len(requirements)) + requirements
        if one.place:
            yield cut(f"              at {one_line(one.place)}: {one_line(one.source)}")
        sure = f"{100 * one.seen:.0f} % of its signs are there, it explains {100 * one.explained:.0f} % of the failures"
        yield f"              {sure}"
        if one.reproduce:
            yield cut(f"              reproduce: {one_line(one.reproduce)}")
    if len(verdict.diagnosis) > _MISTAKES:
        yield f"  ... and {len(verdict.diagnosis) - _MISTAKES} more mistakes"
    if verdict.unexplained:
        yield cut(f"no known mistake explains {', '.join(map(one_line, verdict.unexplained))}")


def _problem(cause: order.Cause) -> Iterator[str]:
    finding = cause.head
    where = f"{one_line(finding.where)}: " if finding.where else ""
    requirements = f"  [{', '.join(finding.requirements)}]" if finding.requirements else ""
    head = f"{finding.kind or _MARKS[finding.severity]:9} {where}{one_line(finding.message)}"
    yield cut(head, WIDTH - len(requirements)) + requirements
    if finding.place:
        yield cut(f"          at {one_line(finding.place)}")
    if cause.rest:
        yield f"          and {len(cause.rest)} more for the same cause"
    lines = [line for line in finding.evidence.splitlines() if line.strip()]
    if lines:
        yield cut(f"          | {one_line(lines[0])}")
    if finding.reproduce:
        yield cut(f"          reproduce: {one_line(finding.reproduce)}")


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
    assert item.earned is not None, "it was graded"
    return f"{item.id} {item.points - item.earned:.2f} of {item.points:g}"
