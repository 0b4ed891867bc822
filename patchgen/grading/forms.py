"""A verdict in the forms that other programs read: where authors, students and graders look anyway.

- SARIF 2.1.0, OASIS: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
- GitHub's annotations: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
- KTAP 1: https://docs.kernel.org/dev-tools/ktap.html
- JUnit: junit.py; results of Gradescope and INGInious: platforms.py

What the machine kept from being graded is an error in each of them, and never a failure or 0 points.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from patchgen import __version__
from patchgen.findings import Finding, Result, Severity
from patchgen.grading import junit, order, platforms, shown, text
from patchgen.grading.model import Stage, Verdict
from patchgen.grading.rubric import Rubric
from patchgen.text import one_line

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


@dataclass(frozen=True)
class Form:
    """A form.

    Attributes:
        suffix: of its files.
        one: makes it of a verdict and its rubric; "" where it has no words for that verdict.
        for_students: a platform shows it to them, so nothing of the grader's machine may be in it.
    """

    suffix: str
    one: Callable[[Verdict, Rubric], str]
    for_students: bool = False


def sarif(verdict: Verdict, _: Rubric) -> str:
    """Return a SARIF log: a rule for each check, a result for each finding; a stage in error is a notification."""
    told = verdict.findings
    unknown = [(one.name, one.why) for one in verdict.stages if one.status is Result.ERROR]
    unknown += [(check, why) for one in verdict.stages for check, why in one.errors.items()]
    notes = [{"level": "error", "message": {"text": f"{name} could not be graded: {why}"}} for name, why in unknown]
    driver = {
        "name": "patchgen",
        "version": __version__,
        "rules": [{"id": check} for check in dict.fromkeys(one.check for one in told)],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": not unknown, "toolExecutionNotifications": notes}],
        "results": [_sarif_result(one) for one in told],
    }
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _sarif_result(finding: Finding) -> Mapping[str, object]:
    result: dict[str, object] = {
        "ruleId": finding.check,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message or finding.check},
        "properties": {"stage": finding.stage, "requirements": list(finding.requirements)},
    }
    if uri := finding.path or finding.where:
        place: dict[str, object] = {"artifactLocation": {"uri": platforms.uri(uri)}}
        if finding.path and finding.line:
            place["region"] = {"startLine": finding.line}
        result["locations"] = [{"physicalLocation": place}]
    return result


def github(verdict: Verdict, _: Rubric) -> str:
    """Return a workflow command for each finding that is no note, and one for each stage in error."""
    lines = [_command(one) for one in order.ranked(verdict.findings)]
    for stage in verdict.stages:
        if stage.status is Result.ERROR:
            lines.append(f"::error title={_property(f'{stage.name} could not be graded')}::{_data(stage.why)}")
    lines.append(f"::notice title=patchgen::{_data(text.headline(verdict))}")
    return "\n".join(lines) + "\n"


def _command(finding: Finding) -> str:
    words = {"file": finding.path, "line": str(finding.line or ""), "title": finding.check}
    properties = ",".join(f"{name}={_property(value)}" for name, value in words.items() if value)
    said = f"{finding.where}: {finding.message}" if finding.where and not finding.path else finding.message
    return f"::{_COMMANDS[finding.severity]} {properties}::{_data(said or finding.check)}"


def _data(text: str) -> str:
    """Return text as @actions/core writes it: a newline would end the command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def ktap(verdict: Verdict, _: Rubric) -> str:
    """Return a test for each stage, with a subtest for each scenario, error, and check that could not be made."""
    lines = ["KTAP version 1", f"1..{len(verdict.stages)}"]
    for stage in verdict.stages:
        inner = list(_subtests(stage, verdict))
        if inner:
            lines += ["  KTAP version 1", f"  # Subtest: {stage.name}", f"  1..{len(inner)}"]
            for number, (name, result, said) in enumerate(inner, 1):
                lines += [f"  # {one}" for one in said.splitlines() if one.strip()] if result is Result.FAIL else []
                lines.append(f"  {_ktap(number, name, result, said)}")
        lines.append(_ktap(stage.number, stage.name, stage.status, stage.why))
    return "\n".join(lines) + "\n"


def _subtests(stage: Stage, verdict: Verdict) -> Iterator[tuple[str, Result, str]]:
    for check, why in stage.errors.items():
        yield check, Result.ERROR, why
    for one in verdict.findings:
        if one.stage == stage.name and one.severity is Severity.ERROR and one.check not in ("scenario", "crash"):
            yield f"{one.check} {one.where}".strip(), Result.FAIL, one.message
    for row in verdict.scenarios if stage.name == "behaviour" else ():
        yield row.name, row.result, row.message


def _ktap(number: int, name: str, result: Result, why: str) -> str:
    """Return a result line. KTAP's words are ok, SKIP and ERROR; what was blocked was skipped, and says why."""
    word = "ok" if result in (Result.PASS, Result.SKIP, Result.BLOCKED, Result.NOT_RUN) else "not ok"
    directive = {Result.PASS: "", Result.FAIL: "", Result.ERROR: "ERROR"}.get(result, "SKIP")
    # A number sign would begin a directive.
    said = one_line(why).replace("#", "") if directive else ""
    end = f" # {directive} {said}".rstrip() if directive else ""
    return f"{word} {number} {one_line(name).replace('#', '')}{end}"


FORMS: Mapping[str, Form] = {
    "sarif": Form("sarif", sarif),
    "github": Form("txt", github),
    "ktap": Form("ktap", ktap),
    "junit": Form("xml", lambda verdict, _: junit.text([verdict])),
    "gradescope": Form("json", platforms.gradescope, for_students=True),
    "inginious": Form("json", platforms.inginious, for_students=True),
}


def render(name: str, verdict: Verdict, rubric: Rubric, machine: Mapping[str, str]) -> str:
    """Return a verdict in a form.

    Args:
        name: of the form.
        verdict: with its marks.
        rubric: that they were given by.
        machine: directories that are no student's business (shown.places).
    """
    form = FORMS[name]
    # Which items are shown when is the platform's to heed.
    return form.one(shown.to_students(verdict, rubric, True, machine) if form.for_students else verdict, rubric)


def together(form: str, verdicts: Sequence[Verdict]) -> str:
    """Return the one file of a form that has one for a whole batch (JUnit), "" for the others."""
    return junit.text(verdicts) if form == "junit" else ""
