"""The catalogue of mutants, without a kernel: each can be made and differs from ours."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import tempfile
from pathlib import Path

import pytest
from pfstat import ASSIGNMENT
from verdicts import finding, verdict

from patchgen import assignment
from patchgen.errors import MachineError, SeriesError, UsageError
from patchgen.findings import Finding, Severity
from patchgen.mutation import catalogue
from patchgen.mutation import grade as grading
from patchgen.mutation.catalogue import Change, Mutant
from patchgen.mutation.grade import Graded
from patchgen.series import model as series
from patchgen.series import render
from patchgen.series.model import Edit, Series

MUTANTS = catalogue.load(ASSIGNMENT)
EACH = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: str(mutant.name))
OURS = ASSIGNMENT.directory


def rendered(loaded: Series) -> dict[tuple[str, str], object]:
    """Return what each patch of a series says of each file that it touches, as far as that needs no kernel."""
    found: dict[tuple[str, str], object] = {}
    for patch in loaded.patches:
        names = render.context(loaded, patch, ["A <a@b>"])
        for path in patch.paths:
            if path in loaded.edits:
                found[patch.id, path] = [edited(edit, names) for edit in loaded.edits[path] if edit.patch == patch.id]
            else:
                file = loaded.new_file(path)
                found[patch.id, path] = render.render(file.read_text(), names, file)
    return found


def edited(edit: Edit, names: dict[str, object]) -> tuple[str, str, str]:
    return edit.anchor, edit.where, render.render(edit.text, names, Path("edit"))


def test_there_are_at_least_forty() -> None:
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@functools.cache
def text_of(name: str) -> str:
    """Return a mutant's patches, or ours for ""; rendering is what takes time here."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "mutant" if name else OURS
        if name:
            catalogue.make(next(mutant for mutant in MUTANTS if mutant.name == name), ASSIGNMENT, directory)
        return repr(rendered(series.load(directory)))


@EACH
def test_each_is_made_and_differs(mutant: Mutant) -> None:
    assert text_of(mutant.name) != text_of("")


def test_a_mutant_names_what_its_stage_can_find(tmp_path: Path) -> None:
    shutil.copytree(OURS, tmp_path / "pf_stat", ignore=shutil.ignore_patterns("files", "edits"))
    copy = assignment.load(str(tmp_path / "pf_stat"))
    text = (OURS / "mutants.toml").read_text()
    for old, new, wrong in (
        ('names = ["style"]', 'names = ["robustness"]', "no finding of check can name robustness"),
        ('name = "trailing-blanks"', 'name = "blanks-for-tabs"', "two mutants are called"),
        ('names = ["2.4-1"]', 'names = ["9.9-9"]', "can name 9.9-9"),
        ('call = ["2.1-*"]', 'call = ["9.9-*"]', "9.9-[*] is no requirement of a call"),
    ):
        assert old in text
        (tmp_path / "pf_stat" / "mutants.toml").write_text(text.replace(old, new, 1))
        with pytest.raises(UsageError, match=wrong):
            catalogue.load(copy)


def test_no_two_make_the_same_change() -> None:
    changes = [mutant.change for mutant in MUTANTS]
    assert len(set(changes)) == len(changes)


def change(old: str) -> Mutant:
    replacement = Change(file="series.toml", old=old, new="x")
    return Mutant(name="x", mistake="X.", names=("2.4-1",), stage="test", change=(replacement,))


@pytest.mark.parametrize("old", ["is nowhere in it", "paths"])
def test_a_replacement_must_match_once(old: str, tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="times what it replaces"):
        catalogue.make(change(old), ASSIGNMENT, tmp_path / "mutant")


def asking(names: tuple[str, ...], shows: str = "") -> Mutant:
    return MUTANTS[0].model_copy(update={"names": names, "shows": shows})


def found(requirements: tuple[str, ...], where: str, evidence: str = "") -> Finding:
    one = finding("scenario", "behaviour", Severity.ERROR, message="x", where=where)
    return dataclasses.replace(one, requirements=requirements, evidence=evidence)


@pytest.mark.parametrize(
    ("findings", "caught"),
    [
        ([], False),
        ([found(("2.2-5",), "a")], False),
        ([found(("S6",), "other", "evidence")], False),
        ([found(("S6", "2.2-5"), "reads")], False),
        ([found(("S6",), "it reads"), found(("2.2-5",), "b", "it reads")], True),
        ([found(("2.2-5", "S6"), "it reads")], True),
    ],
)
def test_caught_is_what_is_named_and_said(findings: list[Finding], caught: bool) -> None:
    assert grading.weigh(asking(("S6", "2.2-5"), "it reads"), verdict(*findings)).caught is caught


def test_a_note_catches_nothing() -> None:
    note = dataclasses.replace(found(("S6",), "a"), severity=Severity.NOTE)
    assert not grading.weigh(asking(("S6",)), verdict(note)).caught


def test_what_the_archive_lacks_catches_nothing() -> None:
    no_report = finding("report", "archive", Severity.ERROR, message="there is no report", where="")
    assert not grading.weigh(asking(("style",)), verdict(no_report)).caught
    tabs = finding("checkpatch", "style", Severity.ERROR, message="code indent should use tabs", where="a.c:1")
    assert grading.weigh(asking(("style",)), verdict(no_report, tabs)).by == "code indent should use tabs"


def test_what_is_said_elsewhere_is_shown_when_one_is_missed() -> None:
    graded = grading.weigh(asking(("S6",)), verdict(found(("S9",), "a-scenario", "wanted 1, got 2")))
    assert (graded.caught, graded.by, graded.named) == (False, "", ())
    assert graded.evidence == "a-scenario\nx\nwanted 1, got 2"


def test_what_a_mutant_is_decides_about_its_identity() -> None:
    one = change("paths")
    assert one.identity() == one.model_copy(update={"name": "y", "mistake": "Y."}).identity()
    others: list[dict[str, object]] = [
        {"stage": "build"},
        {"shows": "x"},
        {"names": ("2.4-2",)},
        {"change": change("title").change},
    ]
    assert one.identity() not in {one.model_copy(update=other).identity() for other in others}


class Stub(grading.MutantGrader):
    """Grades without a kernel, and writes down where."""

    def __init__(self, broken: str = "") -> None:
        self.workspaces: list[str] = []
        self._workspace, self._broken = "m", broken

    def grade(self, mutant: Mutant, workspace: str = "") -> Graded:
        if mutant.name == self._broken:
            raise MachineError("the disk is full")
        self.workspaces.append(workspace)
        return grading.weigh(mutant, verdict())


def test_mutants_are_graded_in_order_each_in_a_workspace_of_its_own_and_those_for_torture_alone() -> None:
    grader = Stub()
    racing = [mutant for mutant in MUTANTS if mutant.stage == "torture"]
    wanted = [*(mutant for mutant in MUTANTS if mutant.stage != "torture"), *racing]
    assert [mutant.name for mutant, _ in grader.grade_all(MUTANTS)] == [mutant.name for mutant in wanted]
    assert len(grader.workspaces) == len(MUTANTS)
    assert set(grader.workspaces) <= {"m-1", "m-2"}
    assert set(grader.workspaces[-len(racing) :]) == {"m-1"}


def test_what_was_graded_before_an_error_is_there() -> None:
    grading_all = Stub(broken=MUTANTS[2].name).grade_all(MUTANTS)
    graded = [next(grading_all)[0].name, next(grading_all)[0].name]
    with pytest.raises(MachineError):
        next(grading_all)
    assert graded == [mutant.name for mutant in MUTANTS[:2]]
