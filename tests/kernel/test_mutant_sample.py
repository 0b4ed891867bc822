"""A few mutants of each kind, and that their anchors are still there; `make mutants` grades the whole catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
from pfstat import ASSIGNMENT

from patchgen import pipeline
from patchgen.base.resolve import Source
from patchgen.mutation import catalogue
from patchgen.mutation import grade as grading
from patchgen.pipeline import Project

pytestmark = pytest.mark.only_linux_4_15("a submission is made on no other base")
# One of each stage that has no build directory of its own.
SAMPLE = ("trailing-blanks", "does-not-compile", "vma-end-off-by-one", "allocates-under-the-lock")
MUTANTS = {mutant.name: mutant for mutant in catalogue.load(ASSIGNMENT)}
# What a replacement in an edit can break is its anchor in the kernel's file.
ANCHORED = [one for one in MUTANTS.values() if any(change.file.startswith("edits/") for change in one.change)]


@pytest.mark.parametrize("name", SAMPLE)
def test_a_mutant_is_caught(name: str, project: Project, origin: Source) -> None:
    graded = grading.MutantGrader(project, workspace="series").grade(MUTANTS[name])
    assert graded.caught, graded.evidence


@pytest.mark.parametrize("name", [mutant.name for mutant in ANCHORED])
def test_its_anchors_are_there(name: str, project: Project, origin: Source, tmp_path: Path) -> None:
    made = catalogue.compose_mutant(MUTANTS[name], project, origin, tmp_path)
    assert made.tree != pipeline.commit(project, origin).tree


def test_what_was_graded_is_kept(project: Project, origin: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second grading takes what the first one left, and one of another mutant does not."""
    grader = grading.MutantGrader(project, workspace="series")
    first = grader.grade(MUTANTS["trailing-blanks"])
    monkeypatch.setattr(grading.grader, "grade", lambda *_: pytest.fail("graded again"))
    assert grader.grade(MUTANTS["trailing-blanks"]) == first
    other = MUTANTS["trailing-blanks"].model_copy(update={"shows": "something else"})
    with pytest.raises(BaseException, match="graded again"):
        grader.grade(other)
