"""Parts of verdicts, made up: for tests of what is made from verdicts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from patchgen.findings import Finding, Severity
from patchgen.grading import scoring
from patchgen.grading.grader import NAMES
from patchgen.grading.model import (
    CostRow,
    CostTable,
    Diagnosis,
    PatchRow,
    RequirementRow,
    Result,
    ScenarioRow,
    Stage,
    Verdict,
)
from patchgen.grading.rubric import Rubric
from patchgen.testing.picture import Picture, Vma

MARKS_TOML = """\
title = "toy"
late = [1, 3, 7, 15, 31]
item = [
    { id = "compiles", title = "It compiles", stage = "build", checks = ["build"], mandatory = true },
    { id = "report", title = "Report", stage = "archive", checks = ["report"], points = 1 },
    { id = "style", title = "Style", stage = "style", points = 2, each = 0.5 },
    { id = "rest", title = "Build", stage = "build", checks = ["warning"], points = 1 },
    { id = "set", title = "pf_set_param", stage = "behaviour", requirements = ["2.1-*"], points = 6 },
]
"""
MARKS_RUBRIC = Rubric.model_validate(tomllib.loads(MARKS_TOML))


def finding(check: str, stage: str, severity: Severity = Severity.WARNING, **more: str) -> Finding:
    """Return a finding."""
    return Finding(check, severity, more.get("message", "something"), stage=stage, where=more.get("where", ""))


def stages(statuses: Mapping[str, Result], unmade: Mapping[str, str] | None = None) -> list[Stage]:
    """Return all seven stages; OK but for those named, `unmade` are checks of the archive that could not be made."""
    return [
        Stage(
            number=number,
            name=name,
            status=statuses.get(name, Result.PASS),
            errors=dict(unmade or {}) if name == "archive" else {},
        )
        for number, name in enumerate(NAMES, 1)
    ]


def verdict(*findings: Finding, status: Result = Result.PASS, text: str = "plain", **statuses: Result) -> Verdict:
    """Return a verdict in which `text` stands wherever a submission can put one.

    Its scenario fails, unless `scenario` says what came of it; other keywords say that of stages.
    """
    came = statuses.pop("scenario", Result.FAIL)
    results: dict[str, Result] = {text: came, "b": Result.PASS}
    made = stages(statuses)
    space = Picture((Vma(0x1000, 0x3000, 4),), 4, (Vma(0x1000, 0x3000, 7),), ())
    return Verdict(
        patchgen="0",
        suite="s",
        submission=text,
        content="c",
        base="Linux 4.15",
        accelerator="tcg",
        time_scale=1.5,
        status=status,
        stages=tuple(made),
        diagnosis=(
            Diagnosis(
                name="a",
                mistake=text,
                requirements=("2.1-1",),
                scenarios=(text,),
                points=2,
                place=text,
                source=text,
                reproduce=text,
                seen=1,
                explained=0.5,
                alike=(text,),
            ),
        ),
        unexplained=(text,),
        findings=findings,
        patches=(PatchRow(name=text, subject=text, author=text, paths=(text,), added=1, removed=0),),
        scenarios=(
            ScenarioRow(
                name=text,
                requirements=("2.1-1",),
                summary=text,
                result=came,
                message=text,
                evidence=text,
                reproduce=text,
                picture=space,
            ),
        ),
        requirements=(
            RequirementRow(id="2.1-1", text="A sentence.", result=Result.FAIL, scenarios=results, findings=1),
            RequirementRow(id="2.1-2", text="Another.", result=Result.PASS, scenarios={"b": Result.PASS}, findings=0),
        ),
        costs=CostTable(
            states={"idle": "idle", "tracked": "tracked"},
            rows=(CostRow(kind="copy", title="copy", group="cow", vanilla=100, added={"idle": 2, "tracked": 66}),),
            charts={"cow": "Page faults"},
            shown=("idle", "tracked"),
        ),
        marks=scoring.mark(MARKS_RUBRIC, made, findings, {"2.1-1": results, "2.1-2": {"b": Result.PASS}}),
        seconds=1,
    )
