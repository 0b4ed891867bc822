"""The catalogue of mutants, without a kernel: each can be made and differs from ours."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import mutant_catalogue
import mutant_judge
import pytest
from mutant_catalogue import Change, Mutant
from mutant_judge import Found, Judged, Made

from patchgen import resources
from patchgen.errors import MachineError, SeriesError
from patchgen.series import model as series
from patchgen.series import render
from patchgen.series.model import Edit, Series
from patchgen.submission.archive import Submission

MUTANTS = mutant_catalogue.catalogue()
EACH = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: str(mutant.name))
OURS = resources.TEMPLATES / mutant_catalogue.SERIES


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
            mutant_catalogue.make(next(mutant for mutant in MUTANTS if mutant.name == name), directory)
        return repr(rendered(series.load(directory)))


@EACH
def test_each_is_made_and_differs(mutant: Mutant) -> None:
    assert text_of(mutant.name) != text_of("")


@EACH
def test_each_names_what_its_stage_can_find(mutant: Mutant) -> None:
    assert set(mutant.names) <= set(mutant_catalogue.STAGES[mutant.stage])


def test_no_two_make_the_same_change() -> None:
    changes = [mutant.change for mutant in MUTANTS]
    assert len(set(changes)) == len(changes)


def change(old: str) -> Mutant:
    replacement = Change(file="series.toml", old=old, new="x")
    return Mutant(name="x", mistake="X.", names=("2.4-1",), stage="test", change=(replacement,))


@pytest.mark.parametrize("old", ["is nowhere in it", "paths"])
def test_a_replacement_must_match_once(old: str, tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="times what it replaces"):
        mutant_catalogue.make(change(old), tmp_path / "mutant")


def asking(names: tuple[str, ...], shows: str = "") -> Mutant:
    return MUTANTS[0].model_copy(update={"names": names, "shows": shows})


@pytest.mark.parametrize(
    ("found", "caught"),
    [
        ([], False),
        ([Found(("2.2-5",), "a")], False),
        ([Found(("S6",), "other", "evidence")], False),
        ([Found(("S6", "2.2-5"), "reads")], False),
        ([Found(("S6",), "it reads"), Found(("2.2-5",), "b", "it reads")], True),
        ([Found(("2.2-5", "S6"), "it reads")], True),
    ],
)
def test_caught_is_what_is_named_and_said(found: list[Found], caught: bool) -> None:
    assert mutant_judge.weigh(asking(("S6", "2.2-5"), "it reads"), found).caught is caught


def test_what_is_said_elsewhere_is_shown_when_one_is_missed() -> None:
    judged = mutant_judge.weigh(asking(("S6",)), [Found(("S9",), "a-scenario", "wanted 1, got 2")])
    assert (judged.caught, judged.by, judged.named) == (False, "", ())
    assert judged.evidence == "a-scenario: wanted 1, got 2"


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


class Stub(mutant_judge.Judge):
    """Judges without a kernel, and writes down what it does."""

    def __init__(self, broken: str = "") -> None:
        self.prepared: list[str] = []
        self.finished: list[str] = []
        self._broken = broken

    def prepare(self, mutant: Mutant) -> Made:
        if mutant.name == self._broken:
            raise MachineError("the disk is full")
        self.prepared.append(mutant.name)
        return Made(mutant, Submission(Path("patch"), (), {}, ()), Path("nowhere"))

    def finish(self, made: Made) -> Judged:
        self.finished.append(made.mutant.name)
        assert len(self.prepared) <= len(self.finished) + mutant_judge._AHEAD, "kernels pile up"
        return mutant_judge.weigh(made.mutant, [])


def test_mutants_are_judged_in_order_and_few_are_built_ahead() -> None:
    judge = Stub()
    found = [mutant.name for mutant, _ in judge.judge_all(MUTANTS)]
    assert found == judge.prepared == judge.finished == [mutant.name for mutant in MUTANTS]


def test_what_was_judged_before_an_error_is_there() -> None:
    judge = Stub(broken=MUTANTS[2].name)
    with pytest.raises(MachineError):
        list(judge.judge_all(MUTANTS))
    assert judge.finished == [mutant.name for mutant in MUTANTS[:2]]
