"""A verdict as JUnit: a suite for each stage, a case for each scenario, and one for each finding elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from patchgen.cache import write_text
from patchgen.findings import Finding, Severity
from patchgen.grading.model import ScenarioRow, Stage, Status, Verdict

_UNMADE = (Status.NOT_ASKED, Status.NOT_REACHED)


def write(verdict: Verdict, path: Path) -> None:
    """Write the file.

    Raises:
        MachineError: it cannot be written.
    """
    xml = JUnitXml(verdict.submission)
    for stage in verdict.stages:
        suite = TestSuite(f"{stage.number} {stage.name}")
        rows = verdict.scenarios if stage.name == "behaviour" else ()
        for case in (*_findings(stage, verdict), *(_scenario(row) for row in rows)):
            suite.add_testcase(case)
        xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    write_text(path, xml.tostring().decode())  # type: ignore[no-untyped-call]


def _findings(stage: Stage, verdict: Verdict) -> Iterator[TestCase]:
    """Yield a case for the stage itself and one for each error that is not a scenario's; warnings are no failures."""
    whole = TestCase(stage.name, classname="patchgen.stage", time=stage.seconds)
    if stage.status is Status.NOT_JUDGED:
        whole.result = [Error(stage.why)]
    elif stage.status in _UNMADE:
        whole.result = [Skipped(stage.why or stage.status)]
    yield whole
    for check, why in stage.not_judged.items():
        case = TestCase(check, classname=f"patchgen.{stage.name}", time=0)
        case.result = [Error(why)]
        yield case
    for finding in verdict.findings:
        if finding.stage == stage.name and finding.severity is Severity.ERROR and finding.check != "scenario":
            case = TestCase(finding.where or finding.check, classname=f"patchgen.{finding.check}", time=0)
            case.result = [_failure(finding)]
            yield case


def _failure(finding: Finding) -> Failure:
    failure = Failure(finding.message.splitlines()[0] if finding.message else finding.check)
    failure.text = "\n".join(part for part in (finding.message, finding.evidence, finding.again) if part)
    return failure


def _scenario(row: ScenarioRow) -> TestCase:
    case = TestCase(row.name, classname=f"patchgen.{row.requirements[0]}", time=row.seconds)
    if row.result == "FAILED":
        failure = Failure(row.message.splitlines()[0] if row.message else row.name)
        failure.text = "\n".join(part for part in (row.message, row.evidence, row.again) if part)
        case.result = [failure]
    elif row.result == "not judged":
        case.result = [Error(row.message)]
    elif row.result == "skipped":
        case.result = [Skipped(row.message)]
    return case
