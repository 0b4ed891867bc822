"""A verdict as JUnit: a suite for each stage, a case for each scenario, and one for each finding elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from junitparser import TestCase

from patchgen.cache import write_text
from patchgen.findings import Result, Severity
from patchgen.grading.model import Stage, Verdict
from patchgen.testing import junit


def write(verdict: Verdict, path: Path) -> None:
    """Write the file.

    Raises:
        MachineError: it cannot be written.
    """
    write_text(path, text([verdict]))


def text(verdicts: Sequence[Verdict]) -> str:
    """Return the XML; of several verdicts each suite has the name of its submission."""
    several = len(verdicts) > 1
    suites = {
        f"{one.submission}: {stage.number} {stage.name}" if several else f"{stage.number} {stage.name}": _cases(
            stage, one
        )
        for one in verdicts
        for stage in one.stages
    }
    return junit.text(suites, None if several else verdicts[0].submission if verdicts else None)


def _of(stage: Stage) -> Result:
    """A stage that failed has a case for each of its errors, which says more."""
    return Result.PASS if stage.status is Result.FAIL else stage.status


def _cases(stage: Stage, verdict: Verdict) -> Iterator[TestCase]:
    """Yield a case for the stage itself, and one for each error and each scenario; warnings are no failures."""
    yield junit.case(stage.name, "stage", stage.seconds, _of(stage), stage.why or stage.status)
    for check, why in stage.errors.items():
        yield junit.case(check, stage.name, 0, Result.ERROR, why)
    for one in verdict.findings:
        if one.stage == stage.name and one.severity is Severity.ERROR and one.check != "scenario":
            details = one.message or one.check, one.evidence, one.reproduce
            yield junit.case(one.where or one.check, one.check, 0, Result.FAIL, *details)
    for row in verdict.scenarios if stage.name == "behaviour" else ():
        yield junit.case(
            row.name, row.requirements[0], row.seconds, row.result, row.message, row.evidence, row.reproduce
        )
