"""The assignment kvs as data: its requirements, scenarios, rubric, mutants and series fit together."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from patchgen import assignment
from patchgen.assignment import Requirement
from patchgen.base import bases
from patchgen.grading import rubric
from patchgen.mutation import catalogue
from patchgen.mutation.catalogue import Mutant
from patchgen.series import model as series
from patchgen.series import render
from patchgen.testing import ktap, suite

ROOT = Path(__file__).parents[2]
ASSIGNMENT = assignment.load("kvs")
HERE = ASSIGNMENT.directory
PROGRAMS = sorted((HERE / "scenarios").glob("*.c"))
REQUIREMENTS = ASSIGNMENT.requirements
RUBRIC = rubric.load(ASSIGNMENT)
MUTANTS = catalogue.load(ASSIGNMENT)
# Sections 3.1 to 5, what the slides say, and what is left open.
SECTIONS = {"3.1": 3, "3.2": 2, "3.3": 2, "3.4": 1, "3.5": 6, "3.6": 2, "4": 1, "5": 7}


@cache
def scenarios() -> dict[str, tuple[str, ...]]:
    """Return the requirements of each scenario by its name, those in C and those in Python."""
    declared = [one for path in PROGRAMS for one in ktap.declared(path.read_text())]
    in_python = suite.load(ASSIGNMENT, series.load(HERE).parameters).scenarios
    return {one.name: one.requirements for one in declared} | {one.name: one.requirements for one in in_python}


def checked() -> set[str]:
    """Return the requirements that checks of the programs in C name."""
    text = "\n".join(path.read_text() for path in (HERE / "scenarios").glob("*.[ch]"))
    words = [ids for ids in re.findall(r'"([^"\n]*)"', text) if re.fullmatch(r"(([LS]\d+|\d[\d.]*-\d)( |$))+", ids)]
    return {one for ids in words for one in ids.split()}


def rendered(directory: Path) -> Iterator[str]:
    """Yield all that a series says, as far as that needs no kernel."""
    loaded = series.load(directory)
    for patch in loaded.patches:
        names = render.context(loaded, patch, ["A <a@b>"])
        for path in patch.paths:
            if path in loaded.edits:
                yield from (render.render(one.text, names, Path("edit")) for one in loaded.edits[path])
            else:
                yield render.render(loaded.new_file(path).read_text(), names, loaded.new_file(path))


def test_the_sections_are_complete() -> None:
    wanted = [f"{section}-{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    further = [f"{letter}{number}" for letter, count in (("S", 5), ("L", 10)) for number in range(1, count + 1)]
    assert list(REQUIREMENTS) == wanted + further


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=lambda one: str(one.id))
def test_each_requirement_has_something_that_stands_for_it(requirement: Requirement) -> None:
    standing = [name for name, ids in scenarios().items() if requirement.id in ids]
    assert bool(standing) != bool(requirement.check), "a scenario, or else a test of the patches"
    if requirement.check:
        file, function = requirement.check.split("::")
        tree = ast.parse((ROOT / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_scenarios_and_checks_name_requirements_that_there_are() -> None:
    assert len(scenarios()) >= 30
    assert {one for ids in scenarios().values() for one in ids} <= set(REQUIREMENTS)
    assert checked() <= set(REQUIREMENTS)
    assert len(checked()) > 20, "the pattern finds them"


def test_names_are_those_of_one_scenario_each() -> None:
    names = [one.name for path in PROGRAMS for one in ktap.declared(path.read_text())]
    assert len(names) == len(set(names))


def test_the_rubric() -> None:
    assert sum(item.points for item in RUBRIC.items) == 20
    assert not [item for item in RUBRIC.items if "report" in "".join(item.checks) or item.stage == "cost"]
    assert ASSIGNMENT.form.report is None
    shared = [one for item in RUBRIC.items for one in item.among(REQUIREMENTS)]
    assert len(shared) == len(set(shared)), "no requirement counts twice"
    graded = {one for ids in scenarios().values() for one in ids}
    assert graded | checked() <= set(shared), "each requirement that can be violated has points"
    assert {item.id for item in RUBRIC.items if item.mandatory} == {"readable", "applies", "compiles", "goes-on"}


def test_what_need_not_be_thought_of_costs_nothing() -> None:
    free = {"3.5-3", "3.5-4", "3.5-5"}
    assert not free & {one for item in RUBRIC.items for one in item.among(REQUIREMENTS)}
    assert not free & checked()
    assert not [path for path in PROGRAMS if "SCENARIO_CPUS" in path.read_text()], "calls at the same time"


def test_it_is_for_32_bit_x86() -> None:
    assert "\tdef_bool y\n\tdepends on X86_32\n" in "".join(rendered(HERE))
    tables = [path for path in series.load(HERE).touched if path.endswith(".tbl")]
    assert tables == ["arch/x86/entry/syscalls/syscall_32.tbl"]


@pytest.mark.parametrize("base", bases.names())
def test_the_numbers_are_those_of_the_base(base: str) -> None:
    other = bases.load(base).quirks.numbers
    first = other.first if other else 385
    parameters = series.load(HERE, None, base).parameters
    assert [parameters[name] for name in ("insert_nr", "search_nr", "delete_nr")] == [first, first + 1, first + 2]
    assert set(ASSIGNMENT.guest.defines.values()) == set(parameters)


def test_there_are_at_least_twenty_mutants() -> None:
    assert len(MUTANTS) >= 20
    assert len({one.change for one in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: str(one.name))
def test_each_mutant_is_made_and_differs(mutant: Mutant, tmp_path: Path) -> None:
    assert set(mutant.names) <= {one for ids in scenarios().values() for one in ids}
    catalogue.make(mutant, ASSIGNMENT, tmp_path / "kvs")
    assert list(rendered(tmp_path / "kvs")) != list(rendered(HERE))
