"""What plain `make` asks on a tree with the base's .config: nothing of our own series."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pfstat import ASSIGNMENT

from patchgen import pipeline, sandbox
from patchgen.base.resolve import Source
from patchgen.findings import Severity
from patchgen.grading import grader, rubric
from patchgen.grading.builder import KernelBuilder
from patchgen.grading.context import Request
from patchgen.grading.model import Result
from patchgen.kernel import build as kernel
from patchgen.kernel import questions
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.series.compose import Step

KCONFIG = "arch/x86/Kconfig"
ANCHOR = 'source "kernel/livepatch/Kconfig"\n'
# As people write it, and as it must be.
PROMPT = 'config PF_ASKED\n\tbool "Ask for it"\n\tdefault y\n\n'
SILENT = "config PF_ASKED\n\tdef_bool y\n\n"
BOX = pytest.param(True, marks=pytest.mark.skipif(bool(sandbox.why_not()), reason=sandbox.why_not()), id="boxed")


def with_option(project: Project, origin: Source, *options: str) -> compose.Composed:
    """Return commits that add Kconfig options, one after the other."""
    files, modes = compose._base_files(origin, [KCONFIG])
    text, ours = files[KCONFIG], project.settings.submission
    assert text.count(ANCHOR) == 1
    steps = []
    for number, option in enumerate(options):
        text = text.replace(ANCHOR, option + ANCHOR)
        message = f"x86: Add option {number}\n\nBecause.\n\nSigned-off-by: {ours.authors[0]}\n"
        steps.append(Step(str(number), message, {KCONFIG: text.encode()}, modes))
    return compose.commit(origin, steps, ours, project.cache)


@pytest.fixture
def asked(project: Project, origin: Source, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bool], str]:
    """Return what says what is asked about a tree, whatever the cache has."""
    monkeypatch.setattr(questions, "_RECIPE", f"test {time.time_ns()}")

    def ask(tree: str, boxed: bool) -> str:
        box = sandbox.sandbox_for_untrusted(not boxed)
        workspace = "submission" if boxed else "series"
        return questions.asked(tree, origin, project.cache, workspace=workspace, sandbox=box)

    return ask


def test_our_own_series_asks_nothing(project: Project, asked: Callable[[str, bool], str], origin: Source) -> None:
    assert asked(pipeline.commit(project, origin).tree, False) == ""


def test_nor_does_it_on_the_second_base(second_project: Project) -> None:
    origin = second_project.source()
    tree = pipeline.commit(second_project, origin).tree
    assert questions.asked(tree, origin, second_project.cache, workspace="series") == ""


@pytest.mark.parametrize("boxed", [pytest.param(False, id="here"), BOX])
def test_an_option_with_a_prompt_is_asked_for(
    boxed: bool, asked: Callable[[str, bool], str], project: Project, origin: Source
) -> None:
    said = asked(with_option(project, origin, PROMPT).tree, boxed)
    answers = "Y/n" if origin.base.name == "linux-4.15" else "Y/n/?"
    assert said.startswith(f"Ask for it (PF_ASKED) [{answers}] (NEW)")
    assert questions.options(said) == ["PF_ASKED"]
    if origin.base.name == "linux-4.15":
        assert "aborted!" in said
        assert "Console input/output is redirected." in said


@pytest.mark.parametrize("boxed", [pytest.param(False, id="here"), BOX])
def test_one_without_a_prompt_is_not(
    boxed: bool, asked: Callable[[str, bool], str], project: Project, origin: Source
) -> None:
    assert asked(with_option(project, origin, SILENT).tree, boxed) == ""


def test_the_answer_is_kept(project: Project, origin: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = with_option(project, origin, PROMPT).tree
    first = questions.asked(tree, origin, project.cache, workspace="series")
    monkeypatch.setattr(kernel, "update_config", lambda *_: pytest.fail("asked again"))
    assert questions.asked(tree, origin, project.cache, workspace="series") == first


@pytest.mark.only_linux_4_15("a submission is made on no other base")
@pytest.mark.timeout(900)
def test_a_verdict_names_the_patch_and_goes_on(project: Project, origin: Source, tmp_path: Path) -> None:
    handed_in = tmp_path / "patch"
    handed_in.mkdir()
    made = compose.format_patch(with_option(project, origin, "# Nothing yet.\n", PROMPT), handed_in)
    (handed_in / "report.txt").write_text("A report.\n")
    shop = KernelBuilder(project, origin, "submission")
    verdict = grader.grade(Request(handed_in, rubric.load(ASSIGNMENT), frozenset(range(1, 5))), shop)
    (found,) = (one for one in verdict.findings if one.severity is Severity.ERROR)
    assert (found.check, found.stage, found.where, found.requirements) == ("question", "build", made[1].name, ("6-7",))
    assert "PF_ASKED" in found.message
    assert "(NEW) aborted!" in found.evidence
    build = verdict.stages[3]
    assert build.facts["built"].startswith("2 of 2"), "it is built with the default answer"
    assert (build.status, verdict.marks.mark) == (Result.FAIL, 0)


def test_a_question_of_ours_fails_the_build(project: Project, origin: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    from patchgen.cli.under_test import UnderTest
    from patchgen.errors import BuildError

    monkeypatch.setattr(pipeline, "tree_under_test", lambda *_: (with_option(project, origin, PROMPT).tree, "series"))
    monkeypatch.setattr(kernel, "build", lambda *_, **__: None)
    with pytest.raises(BuildError, match="make asks for PF_ASKED") as caught:
        UnderTest().image(project)
    assert "(NEW)" in caught.value.evidence
