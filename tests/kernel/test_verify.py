"""Real verdicts: on our own series, and on patches that do nothing, do not apply or do not build."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from command import patchgen
from pfstat import ASSIGNMENT, SCENARIOS

from patchgen import pipeline
from patchgen.base.resolve import Source
from patchgen.checks import static
from patchgen.errors import MachineError
from patchgen.findings import Severity
from patchgen.grading import grader, rubric, runtime_stages, timescale
from patchgen.grading.builder import KernelBuilder
from patchgen.grading.context import Request
from patchgen.grading.model import Result, Verdict
from patchgen.guest.testbed import Testbed
from patchgen.pipeline import Project
from patchgen.testing import runner, suite
from patchgen.testing.lab import Scenario

pytestmark = [pytest.mark.timeout(900), pytest.mark.only_linux_4_15("a submission is made on no other base")]

SPARSE = bool(shutil.which("sparse"))  # Optional: without it a whole verdict is never complete.
FEW = SCENARIOS[::8]
# For each sentence the first scenario that stands for it: enough to decide every mark. test_scenarios.py runs them all.
_FIRST = {requirement: one for one in reversed(SCENARIOS) for requirement in one.requirements}
COVER = tuple(one for one in SCENARIOS if one in _FIRST.values())
Made = Callable[..., Path]


def comment(text: str) -> str:
    return text + "\n/* Nothing was done. */\n"


def graded(project: Project, origin: Source, given: Path, stages: str = "1-5") -> Verdict:
    first, _, last = stages.partition("-")
    asked = frozenset(range(int(first), int(last or first) + 1))
    request = Request(given, rubric.load(ASSIGNMENT), asked)
    return grader.grade(request, KernelBuilder(project, origin, "submission"))


def lost(verdict: Verdict) -> dict[str, float]:
    return {
        one.id: one.points - one.earned
        for one in verdict.marks.items
        if one.earned is not None and one.earned < one.points
    }


def _only(monkeypatch: pytest.MonkeyPatch, scenarios: tuple[Scenario, ...]) -> None:
    whole = suite.load
    monkeypatch.setattr(suite, "load", lambda *what: dataclasses.replace(whole(*what), scenarios=scenarios))


@pytest.fixture
def cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the suite one of only the scenarios that it takes to decide every mark."""
    _only(monkeypatch, COVER)


@pytest.mark.usefixtures("cover")
def test_our_own_series_has_full_marks(project: Project, origin: Source, ours: Path) -> None:
    verdict = graded(project, origin, ours)
    assert len(verdict.scenarios) == len(COVER)
    assert [(one.check, one.where, one.message) for one in verdict.findings] == []
    assert lost(verdict) == {}
    assert verdict.marks.earned == verdict.marks.points
    assert {one.result for one in verdict.scenarios} == {Result.PASS}
    assert {one.result for one in verdict.requirements} == {Result.PASS}
    assert [one.name for one in verdict.scenarios if one.picture] == [ASSIGNMENT.page.example]
    if SPARSE:
        assert (verdict.status, verdict.marks.mark) == (Result.PASS, 18.0), (
            "of 20: robustness, cost, and what is graded by hand are missing"
        )


def test_each_patch_of_our_own_series_builds(project: Project, origin: Source, tmp_path: Path) -> None:
    """As trusted work, which has a compiler cache."""
    (tmp_path / "patch.tar.gz").write_bytes(pipeline.pack(pipeline.generate(project).files, project).data)
    request = Request(tmp_path / "patch.tar.gz", rubric.load(ASSIGNMENT), frozenset({4}), trust=True)
    verdict = grader.grade(request, KernelBuilder(project, origin, "submission", trust=True))
    count = len(project.series.patches)
    assert verdict.stages[3].facts["built"].startswith(f"{count} of {count},")
    assert [one for one in verdict.findings if one.stage == "build"] == []


@pytest.mark.usefixtures("cover")
def test_a_comment_has_nothing_for_behaviour(project: Project, origin: Source, idle: Path) -> None:
    verdict = graded(project, origin, idle)
    assert verdict.stages[4].status is Result.FAIL
    behaviour = [
        one
        for one in verdict.marks.items
        if one.id in {item.id for item in rubric.load(ASSIGNMENT).items if item.requirements}
    ]
    assert len(behaviour) == 6
    assert {one.earned for one in behaviour} == {0}
    found = [one for one in verdict.findings if one.stage == "behaviour"]
    assert len(found) == len(COVER)
    for one in found:
        assert "ENOSYS" in one.message + one.evidence or "not implemented" in one.message + one.evidence
        assert one.requirements
        assert one.reproduce == f"patchgen test --only {one.where} {idle}"
    assert set(lost(verdict)) == {one.id for one in behaviour}, "the patch itself is fine"
    assert verdict.exit_status == (1 if SPARSE else 3)


def test_a_patch_of_another_tree_does_not_apply(
    project: Project, origin: Source, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KernelBuilder, "_build", lambda *_: pytest.fail("a refusal needs no build"))
    verdict = graded(project, origin, foreign)
    assert (verdict.marks.mark, verdict.status) == (0, Result.FAIL)
    assert "0001-x86-Change-it.patch does not apply" in verdict.marks.zero
    assert [stage.status for stage in verdict.stages[3:5]] == [Result.BLOCKED] * 2
    assert verdict.findings[0].requirements == ("6-7", "6-2")


def test_one_that_applies_leniently_only(project: Project, origin: Source, idle: Path, tmp_path: Path) -> None:
    text = next(idle.glob("*.patch")).read_text()
    (tmp_path / "0001-a.patch").write_text(text.replace("};\t/* 240", "};   /* 240"))
    verdict = graded(project, origin, tmp_path / "0001-a.patch", "1-3")
    found = [one for one in verdict.findings if one.check == "apply-leniently"]
    assert [one.severity for one in found] == [Severity.ERROR]
    assert found[0].message.startswith("git am applies them only with --")
    assert verdict.marks.zero == "", "it is not said that it does not apply"
    assert "clean" in lost(verdict)


def test_it_does_not_compile(project: Project, origin: Source, edited: Made) -> None:
    given = edited("kernel/bounds.c", lambda text: text + "int pf_broken = nothing;\n")
    verdict = graded(project, origin, given)
    assert verdict.marks.mark == 0
    found = [one for one in verdict.findings if one.check == "build"]
    assert [one.requirements for one in found] == [("6-7",)]
    assert "nothing" in found[0].evidence
    assert verdict.stages[4].status is Result.BLOCKED


def test_one_patch_that_does_not_build_alone(project: Project, origin: Source, edited: Made) -> None:
    given = edited("kernel/bounds.c", lambda text: text + "int pf_broken = nothing;\n", comment)
    verdict = graded(project, origin, given, "4")
    assert verdict.marks.zero == ""
    found = [(one.check, one.where) for one in verdict.findings if one.severity is Severity.ERROR]
    assert found == [("build-each", "0001-x86-Change-it.patch")]
    assert lost(verdict)["bisectable"] == 0.25


def test_a_new_warning(project: Project, origin: Source, edited: Made) -> None:
    given = edited("lib/ctype.c", lambda text: text + "static int pf_unused;\n")
    verdict = graded(project, origin, given, "4")
    found = [one for one in verdict.findings if one.check == "warning"]
    assert len(found) == 1
    assert "pf_unused" in found[0].message
    assert "lib/ctype.c" in found[0].message
    if SPARSE:
        assert lost(verdict)["warnings"] >= 0.25, "sparse may say the same"


@contextlib.contextmanager
def slow_machine() -> Iterator[None]:
    """Use one CPU only, with all that is started meanwhile, and share it with another process."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
            try:
                yield
            finally:
                other.kill()
    finally:
        os.sched_setaffinity(0, before)


def without_times(verdict: Verdict) -> dict[str, Any]:
    data = verdict.model_dump(mode="json", exclude={"seconds", "time_scale"})
    for stage in data["stages"]:
        stage.pop("seconds")
        stage["facts"].pop("built", None)
    for row in data["scenarios"]:
        row.pop("seconds")
        # Addresses are random in each guest.
        row.pop("picture")
    return data


def test_the_same_verdict_each_time(
    project: Project, origin: Source, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, FEW)
    found = []
    for jobs, machine in ((2, contextlib.nullcontext()), (1, slow_machine())):
        settings = project.settings.model_copy(update={"jobs": jobs})
        with machine:
            verdict = graded(dataclasses.replace(project, settings=settings), origin, ours, "5")
        assert len(verdict.scenarios) == len(FEW)
        assert {one.result for one in verdict.scenarios} == {Result.PASS}
        found.append(without_times(verdict))
    assert found[0] == found[1]


def test_a_machine_that_fails_is_no_point_lost(
    project: Project, origin: Source, idle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fails(scenarios: Sequence[Scenario], *args: Any) -> list[runner.Outcome]:
        calls.append(scenarios[0].name)
        if scenarios[0] is FEW[0]:
            raise MachineError("QEMU was ended by signal 9")
        return [runner.Outcome(scenarios[0], Result.PASS, "", "", 0.1)]

    _only(monkeypatch, FEW)
    monkeypatch.setattr(runtime_stages.runner, "run_some", fails)
    verdict = graded(project, origin, idle, "5")
    assert calls.count(FEW[0].name) == 2, "it is tried once more"
    assert (verdict.status, verdict.exit_status) == (Result.ERROR, 3)
    assert verdict.marks.mark is None
    assert lost(verdict) == {}
    assert [one for one in verdict.findings if one.severity is Severity.ERROR] == []


def test_a_stage_that_fails_is_not_graded(
    project: Project, origin: Source, idle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise MachineError("the disk is full")

    monkeypatch.setattr(KernelBuilder, "build", full)
    verdict = graded(project, origin, idle)
    assert [stage.status for stage in verdict.stages[3:5]] == [Result.ERROR] * 2
    assert verdict.exit_status == 3
    assert lost(verdict) == {}


def test_without_sparse(project: Project, origin: Source, idle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(static.shutil, "which", lambda name, **how: None if name == "sparse" else which(name, **how))
    verdict = graded(project, origin, idle, "4")
    assert list(verdict.stages[3].errors) == ["sparse"]
    assert verdict.stages[3].status is Result.PASS
    assert lost(verdict) == {}
    assert verdict.exit_status == 3


def test_the_pace_is_measured_and_kept_for_minutes(vanilla_bed: Testbed, project: Project) -> None:
    now = 4e9
    kept = project.cache.directory("time_scale") / "vanilla.json"
    found = timescale.measure(vanilla_bed, project.cache, now)
    assert 1 <= found <= 50
    kept.write_text(json.dumps({"at": now, "time_scale": 7.5}))
    assert timescale.measure(vanilla_bed, project.cache, now + 100) == 7.5
    assert timescale.measure(vanilla_bed, project.cache, now + 400) != 7.5
    kept.unlink()


def test_kernels_are_held(project: Project, origin: Source, vanilla_kernel: Path, tmp_path: Path) -> None:
    """The cache drops all but the newest kernels; a verdict's must outlive that."""
    held = KernelBuilder(project, origin, "submission", place=tmp_path).vanilla()
    assert held.image.parent.parent == tmp_path
    assert held.image.samefile(vanilla_kernel)
    assert held.image.with_name("build.log").is_file()


def test_time_limits_grow_with_the_pace(vanilla_bed: Testbed) -> None:
    with dataclasses.replace(vanilla_bed, time_scale=30.0).ready() as guest:
        assert not guest.run("sleep 2", timeout=1).timed_out
    with vanilla_bed.ready() as guest:
        assert guest.run("sleep 2", timeout=1).timed_out


# From the command line.


@pytest.mark.usefixtures("machine_environment")
def test_the_command(foreign: Path, idle: Path, tmp_path: Path) -> None:
    forms = ["--html", "page.html", "--junit", "junit.xml", "--stages", "1-3"]
    done = patchgen("verify", *forms, str(foreign), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"{foreign}: FAIL, 0 of 20\n  The mark is 0.")
    assert "does not apply" in (tmp_path / "page.html").read_text()
    assert "does not apply" in (tmp_path / "junit.xml").read_text()
    late = ["--submitted", "2023-04-21", "--deadline", "2023-04-19T23:59:59+02:00"]
    done = patchgen("verify", "--json", "--stages", "1-3", *late, str(idle), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Verdict.model_validate_json(done.stdout).marks.days_late == 2
    for words in (
        ["none.tar.gz"],
        ["--stages", "9", str(idle)],
        [str(idle), str(foreign)],
        ["--rubric", "none", str(idle)],
    ):
        assert patchgen("verify", *words, cwd=tmp_path).returncode == 2, words
