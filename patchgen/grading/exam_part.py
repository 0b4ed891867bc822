"""The part of the behaviour stage that has an exam: random programs from the grader's seed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from patchgen.errors import MachineError
from patchgen.findings import Finding, Result, Severity
from patchgen.grading.context import GradingContext
from patchgen.guest.testbed import Testbed
from patchgen.testing import exam
from patchgen.testing.exam import Failure
from patchgen.testing.lab import Scenario
from patchgen.testing.runner import Outcome

NAME = "exam"


def sit(context: GradingContext, bed: Testbed) -> Iterator[Finding]:
    """Hold the kernel against random programs, if that was asked for.

    It counts as one scenario more, of the requirements that the assignment's module names, so points are lost for it as
    for any other.
    """
    if context.request.exam is None:
        return
    paper = exam.load(context.assignment)
    scenario = Scenario(NAME, tuple(paper.REQUIREMENTS), lambda _: None, paper.SUMMARY)
    begin = time.monotonic()

    def outcome(result: Result, message: str = "", evidence: str = "") -> Outcome:
        violated = scenario.requirements if result is Result.FAIL else ()
        return Outcome(scenario, result, message, evidence, time.monotonic() - begin, violated=violated)

    try:
        found = exam.sit(bed, paper, context.request.exam, context.request.programs)
    except MachineError as error:
        context.errors[NAME] = error.message
        context.outcomes.append(outcome(Result.ERROR, error.message, error.evidence))
        return
    context.facts[NAME] = f"{found.count - found.failed} of {found.count} random programs"
    if found.failure is None:
        context.outcomes.append(outcome(Result.PASS))
        return
    context.outcomes.append(outcome(Result.FAIL, found.failure.what, found.failure.evidence))
    more = f"; {found.failed} of {found.count} random programs" if found.count > 1 else ""
    again = reproduce(context, found.failure, paper.PREPARE)
    message = f"{found.failure.what}{more}"
    yield Finding(NAME, Severity.ERROR, message, "", found.failure.evidence, scenario.requirements, reproduce=again)


def reproduce(context: GradingContext, failure: Failure, prepare: str) -> str:
    """Return the line that runs a program once more."""
    return context.reproduce("run", in_guest=tuple(filter(None, (prepare, failure.program.command))))
