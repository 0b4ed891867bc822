"""The forms that other programs read: each is read back by a parser, or held against what its documentation says."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pfstat import ASSIGNMENT
from pydantic import BaseModel, ConfigDict, Field
from verdicts import MARKS_RUBRIC, MARKS_TOML, finding, verdict

from patchgen import pipeline
from patchgen.cli import verify_command
from patchgen.errors import UsageError
from patchgen.findings import Result, Severity
from patchgen.grading import batch, forms, marking
from patchgen.grading.batch import Batch
from patchgen.grading.build_stage import _warning
from patchgen.grading.clean import clean
from patchgen.grading.model import Verdict
from patchgen.grading.rubric import Rubric
from patchgen.grading.worker import Answer, Task
from patchgen.settings import Settings
from patchgen.testing import ktap

HOSTILE = "a: b, c%\n::error::x # SKIP \x1b[2J<&"
ERROR = replace(finding("build-each", "build", Severity.ERROR, message=HOSTILE), path="mm/a b.c", line=7)
STYLE = finding("checkpatch", "style", where="0001-x.patch")
NOTE = finding("archive", "archive", Severity.NOTE)


def made(*findings: Any, rubric: Rubric = MARKS_RUBRIC, **statuses: Any) -> Verdict:
    return clean(marking.mark(verdict(*findings, **statuses), rubric, ASSIGNMENT))


def form(name: str, *findings: Any, rubric: Rubric = MARKS_RUBRIC, **statuses: Any) -> str:
    return forms.render(name, made(*findings, rubric=rubric, **statuses), rubric, {})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Text(_Strict):
    text: str = Field(min_length=1)


class _Artifact(_Strict):
    uri: str = Field(pattern=r"^[!-~]+$")


class _Region(_Strict):
    startLine: int = Field(ge=1)


class _Physical(_Strict):
    artifactLocation: _Artifact
    region: _Region | None = None


class _Location(_Strict):
    physicalLocation: _Physical


class _SarifResult(_Strict):
    ruleId: str
    level: Literal["none", "note", "warning", "error"]
    message: _Text
    properties: dict[str, Any]
    locations: list[_Location] = []


class _Notification(_Strict):
    level: Literal["none", "note", "warning", "error"]
    message: _Text


class _Invocation(_Strict):
    executionSuccessful: bool
    toolExecutionNotifications: list[_Notification]


class _Rule(_Strict):
    id: str


class _Driver(_Strict):
    name: str
    version: str
    rules: list[_Rule]


class _Tool(_Strict):
    driver: _Driver


class _Run(_Strict):
    tool: _Tool
    invocations: list[_Invocation]
    results: list[_SarifResult]


class _Sarif(_Strict):
    """What sarif-schema-2.1.0.json says of those properties that are written."""

    schema_: str = Field(alias="$schema")
    version: Literal["2.1.0"]
    runs: list[_Run]


def test_sarif() -> None:
    log = _Sarif.model_validate_json(form("sarif", ERROR, STYLE, NOTE))
    (run,) = log.runs
    assert [one.level for one in run.results] == ["error", "warning", "note"]
    place = run.results[0].locations[0].physicalLocation
    assert place.region is not None
    assert (place.artifactLocation.uri, place.region.startLine) == ("mm/a%20b.c", 7)
    assert run.results[1].locations[0].physicalLocation.region is None
    assert {one.ruleId for one in run.results} == {one.id for one in run.tool.driver.rules}
    assert run.invocations[0].executionSuccessful
    broken = _Sarif.model_validate_json(form("sarif", behaviour=Result.ERROR)).runs[0].invocations[0]
    assert (broken.executionSuccessful, len(broken.toolExecutionNotifications)) == (False, 1)


COMMAND = re.compile(r"^::(?P<name>error|warning|notice)(?: (?P<properties>[^:]*))?::(?P<data>.*)$")


def commands(text: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield workflow commands as actions/runner reads them (ActionCommand.TryParseV2)."""
    for line in text.splitlines():
        match = COMMAND.match(line)
        assert match is not None, line
        pairs = (one.split("=", 1) for one in (match["properties"] or "").split(",") if one)
        plain = {"%3A": ":", "%2C": ",", "%0A": "\n", "%0D": "\r", "%25": "%"}

        def read(value: str, plain: Mapping[str, str] = plain) -> str:
            return re.sub("|".join(plain), lambda found: plain[found[0]], value)

        yield match["name"], {name: read(value) for name, value in pairs}, read(match["data"])


def test_github() -> None:
    found = list(commands(form("github", STYLE, ERROR, NOTE)))
    assert found[0] == (
        "error",
        {"file": "mm/a b.c", "line": "7", "title": "build-each"},
        clean(made(ERROR)).findings[0].message,
    )
    assert found[1] == ("warning", {"title": "checkpatch"}, "0001-x.patch: something")
    assert [one[0] for one in found] == ["error", "warning", "notice"]
    odd = form("github", replace(ERROR, path="mm/a,b:c.c")).splitlines()[0]
    assert odd.startswith("::error file=mm/a%2Cb%3Ac.c,line=7,title=build-each::"), (
        "what separates properties is escaped"
    )
    unknown = list(commands(form("github", behaviour=Result.ERROR)))
    assert unknown[0][:2] == ("error", {"title": "behaviour could not be graded"})


def test_ktap() -> None:
    text = form("ktap", ERROR, text="sc#ario", cost=Result.SKIP, robustness=Result.ERROR)
    read = ktap.parse(text)
    assert read.problems == (), read.problems
    assert len(read.results) == 7
    said = {one.description: one for one in read.results}
    assert said["cost"].status is ktap.Status.SKIP
    assert said["robustness"].status is ktap.Status.FAIL
    assert "not ok 6 robustness # ERROR" in text
    assert [one.description for one in said["build"].children] == ["build-each"]
    assert [one.status for one in said["behaviour"].children] == [ktap.Status.FAIL]


def test_gradescope() -> None:
    hidden = [
        one.model_copy(update={"shown": "after-deadline"}) if one.id == "set" else one for one in MARKS_RUBRIC.items
    ]
    rubric = MARKS_RUBRIC.model_copy(update={"items": tuple(hidden)})
    found = json.loads(form("gradescope", STYLE, rubric=rubric))
    assert set(found) == {"score", "output", "output_format", "tests"}
    assert found["score"] == 6.5
    assert [(one["score"], one["max_score"], one["status"], one["visibility"]) for one in found["tests"]] == [
        (1, 1, "passed", "visible"),
        (1.5, 2, "failed", "visible"),
        (1, 1, "passed", "visible"),
        (3, 6, "failed", "after_due_date"),
    ]
    assert found["output"] == "", "a summary would tell what is hidden"
    assert "something" in found["tests"][1]["output"]
    zero = json.loads(form("gradescope", finding("build", "build", Severity.ERROR)))
    assert zero["score"] == 0


def test_inginious() -> None:
    found = json.loads(form("inginious", STYLE))
    assert set(found) == {"result", "grade", "text", "problems"}
    assert (found["result"], found["grade"]) == ("failed", 65)
    head, *rest = found["text"].splitlines()
    assert head == "::"
    assert all(line.startswith("   ") for line in rest if line), "a literal block: nothing in it is markup"
    assert json.loads(form("inginious", finding("build", "build", Severity.ERROR)))["grade"] == 0


def test_an_error_is_never_0() -> None:
    assert form("gradescope", behaviour=Result.ERROR) == ""
    found = json.loads(form("inginious", behaviour=Result.ERROR))
    assert (found["result"], "grade" in found) == ("crash", False)
    root = ET.fromstring(form("junit", STYLE, behaviour=Result.ERROR))
    assert (root.get("errors"), root.get("failures")) == ("1", "1")


def test_students_read_nothing_of_the_machine() -> None:
    told = replace(ERROR, message="see /home/grader/x/y.c")
    for name in ("gradescope", "inginious"):
        text = forms.render(name, made(told, text="/home/grader/in/s.tar.gz"), MARKS_RUBRIC, {"/home/grader": "~"})
        assert "/home/grader" not in text
    assert "/home/grader" in forms.render("sarif", made(told), MARKS_RUBRIC, {"/home/grader": "~"})


def answers(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
    for key, task in tasks.items():
        unknown = "unknown" in Path(task.name).name
        yield (
            key,
            Answer(
                3 if unknown else 1, made(STYLE, behaviour=Result.ERROR if unknown else Result.PASS).model_dump_json()
            ),
        )


@pytest.fixture
def many(tmp_path: Path) -> Batch:
    (tmp_path / "rubric.toml").write_text(MARKS_TOML)
    project = pipeline.open_project(Settings(cache=tmp_path / "cache"), {})
    return Batch(tmp_path / "out", project, tmp_path / "rubric.toml", "1-5", False, lambda _: None, None)


def test_a_batch_in_another_form(many: Batch, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.tar.gz", "unknown.tar.gz")]
    for path in paths:
        path.write_text(path.name)
    batch.run(paths, replace(many, form="gradescope"), answers)
    (file,) = (many.out / "gradescope").iterdir()
    assert (file.name.startswith("one-"), json.loads(file.read_text())["score"]) == (True, 6.5)
    batch.run(paths, replace(many, form="junit"), answers)
    root = ET.parse(many.out / "junit.xml").getroot()
    names = [str(suite.get("name")) for suite in root]
    assert len(names) == 14
    assert names[0] == f"{paths[0]}: 1 archive"


def test_a_form_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(UsageError, match="--format pdf") as caught:
        verify_command.verify([tmp_path / "x"], form="pdf")
    assert "sarif" in caught.value.hint


@pytest.mark.parametrize("status", [Result.PASS, Result.ERROR])
def test_one_submission_in_another_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: Result
) -> None:
    monkeypatch.setattr(verify_command, "_graded", lambda *_: made(STYLE, behaviour=status))
    file = tmp_path / "results.json"
    file.write_text("old")
    rubric = tmp_path / "rubric.toml"
    rubric.write_text(MARKS_TOML)
    with pytest.raises(verify_command.typer.Exit):
        verify_command.verify([tmp_path / "x"], form="gradescope", output=file, rubric=rubric)
    if status is Result.PASS:
        assert json.loads(file.read_text())["score"] == 6.5
    else:
        assert not file.exists(), "an older file would be taken for this verdict"
    with pytest.raises(verify_command.typer.Exit):
        verify_command.verify([tmp_path / "x"], form="sarif", rubric=rubric)
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"


def test_a_warning_has_its_place() -> None:
    shown = _warning(
        "mm/a.c: unused variable 'x'", "0001-x.patch", "mm/a.c:31:6: warning: unused variable 'x'\n  31 | int x;"
    )
    assert (shown.path, shown.line) == ("mm/a.c", 31)
    unknown = _warning("mm/a.c: unused variable 'x'", "0001-x.patch", "")
    assert (unknown.path, unknown.line) == ("mm/a.c", 0)
