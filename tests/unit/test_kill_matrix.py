"""The kill matrix as it is kept, and what is made of it: `make mutants` writes it, so it may be behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from pfstat import ASSIGNMENT, SCENARIOS

from patchgen.assignment import KILL_MATRIX
from patchgen.mutation import catalogue
from patchgen.mutation import matrix as kill_matrix
from patchgen.mutation.catalogue import Mutant
from patchgen.mutation.matrix import Matrix, Row

MUTANTS = catalogue.load(ASSIGNMENT)
SCENARIO_NAMES = tuple(one.name for one in SCENARIOS)
MATRIX = kill_matrix.load(ASSIGNMENT.directory / KILL_MATRIX, SCENARIO_NAMES)
TABLE = Path(__file__).parents[2] / "docs" / "mutants.md"
FEW = tuple(sorted(SCENARIO_NAMES[:3]))


def row(mutant: Mutant, *kills: str, caught: bool = True) -> Row:
    return Row(mutant=mutant.identity(), caught=caught, by="what | it <was>" if caught else "", kills=kills)


MISSING = sum(one.name not in MATRIX.rows for one in MUTANTS)
# A few that were added since are told by a failure; a run that was never ended is not.
WHOLE = pytest.mark.skipif(
    len(MUTANTS) / 10 < MISSING,
    reason=f"the kill matrix LACKS {MISSING} of {len(MUTANTS)} mutants: make mutants MUTANTS=--stale",
)


@WHOLE
@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_each_scenario_kills_a_mutant(name: str) -> None:
    """One that kills none proves nothing: give it a mutant (`make mutants MUTANTS='-k NAME'`), or drop it."""
    assert name not in MATRIX.idle()


@WHOLE
def test_the_matrix_is_that_of_the_catalogue() -> None:
    """`make mutants MUTANTS=--stale` grades those that are named here."""
    assert MATRIX.stale(MUTANTS) == {}


@WHOLE
def test_each_mutant_is_caught() -> None:
    assert [name for name, found in MATRIX.rows.items() if not found.caught] == []


def test_the_table_is_that_of_the_matrix() -> None:
    assert TABLE.read_text(encoding="utf-8") == MATRIX.table(MUTANTS)


def test_a_scenario_that_kills_none_is_named() -> None:
    assert Matrix({"a": row(MUTANTS[0], *FEW[:2])}, FEW).idle() == [FEW[2]]


def test_a_mutant_that_kills_nearly_all_says_nothing() -> None:
    matrix = Matrix({"a": row(MUTANTS[0], *SCENARIO_NAMES[1:]), "b": row(MUTANTS[1], FEW[0])}, SCENARIO_NAMES)
    assert matrix.idle() == sorted(set(SCENARIO_NAMES) - {FEW[0]})
    assert matrix.alone() == {FEW[0]: ["b"]}


def test_scenarios_that_kill_the_same_are_found() -> None:
    first, second, third = FEW
    matrix = Matrix({"a": row(MUTANTS[0], first, second, third), "b": row(MUTANTS[1], third)}, SCENARIO_NAMES)
    assert matrix.alike() == [(first, second)]


def test_what_is_stale_is_said() -> None:
    never, changed, killed, fine = MUTANTS[:4]
    rows = {
        changed.name: row(never),
        killed.name: row(killed, "no-such-scenario"),
        fine.name: row(fine, FEW[0]),
        "no-such-mutant": row(never),
    }
    assert Matrix(rows, SCENARIO_NAMES).stale(MUTANTS[:4]) == {
        never.name: "was never graded",
        changed.name: "has changed since it was graded",
        killed.name: "was killed by what is no scenario any more: no-such-scenario",
        "no-such-mutant": "is no mutant any more",
    }


def test_a_run_of_some_renews_their_rows_only(tmp_path: Path) -> None:
    one, two = MUTANTS[:2]
    before = {one.name: row(one), two.name: row(two), "no-such-mutant": row(one)}
    after = Matrix(before, SCENARIO_NAMES).merged({two.name: row(two, FEW[0])}, MUTANTS)
    assert after.rows == {one.name: row(one), two.name: row(two, FEW[0])}
    after.save(tmp_path / "matrix.json")
    assert kill_matrix.load(tmp_path / "matrix.json", SCENARIO_NAMES) == after


def test_the_table_shows_what_was_missed() -> None:
    booted = [one for one in MUTANTS if one.stage == "test"][:2]
    rows = {MUTANTS[0].name: row(MUTANTS[0]), booted[0].name: row(booted[0], caught=False)}
    text = Matrix(rows, SCENARIO_NAMES).table([MUTANTS[0], *booted])
    assert "3 mutants, 2 graded, 1 caught." in text
    first, second, third = text.splitlines()[-3:]
    assert first.endswith(r"| what \| it &lt;was> |  |")
    assert second.endswith("| **not caught** | 0 |")
    assert third.endswith("| not graded yet |  |")
