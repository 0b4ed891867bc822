"""The assignment kvs as data: its requirements, scenarios, rubric, mutants and series fit together."""

from __future__ import annotations

import ast
import re
import shutil
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from patchgen import resources
from patchgen.series import model as series
from patchgen.series import render
from patchgen.testing import ktap

ROOT = Path(__file__).parents[2]
HERE = resources.TEMPLATES / "kvs"
# Sections 3.1 to 5, what the slides say, and what is left open.
SECTIONS = {"3.1": 3, "3.2": 2, "3.3": 2, "3.4": 1, "3.5": 6, "3.6": 2, "4": 1, "5": 7}


def data(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


REQUIREMENTS: dict[str, dict[str, str]] = {one["id"]: one for one in data("requirements.toml")["requirement"]}
MUTANTS = data("mutants.toml")["mutant"]
EACH_MUTANT = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: str(one["name"]))


@cache
def scenarios() -> dict[str, tuple[str, ...]]:
    """Return the requirements of each scenario by its name, those in C and those in Python."""
    found = {}
    for path in (HERE / "scenarios").glob("*.c"):
        for one in ktap.declared(path.read_text()):
            assert one.name not in found
            found[one.name] = one.requirements
    for path in (HERE / "scenarios").glob("*.py"):
        for function in (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)):
            for call in (one for one in function.decorator_list if isinstance(one, ast.Call)):
                assert isinstance(call.func, ast.Name)
                assert call.func.id == "scenario"
                found[function.name] = tuple(str(ast.literal_eval(one)) for one in call.args)
    return found


def checked() -> set[str]:
    """Return the requirements that checks of the programs in C name."""
    text = "\n".join(path.read_text() for path in (HERE / "scenarios").glob("*.[ch]"))
    words = [ids for ids in re.findall(r'"([^"\n]*)"', text) if re.fullmatch(r"(([LS]\d+|\d[\d.]*-\d)( |$))+", ids)]
    return {one for ids in words for one in ids.split()}


def rendered(directory: Path) -> str:
    """Return all that a series says, as far as that needs no kernel."""
    loaded = series.load(directory)
    said = []
    for patch in loaded.patches:
        names = render.context(loaded, patch, ["A <a@b>"])
        for path in patch.paths:
            if path in loaded.edits:
                said += [render.render(one.text, names, Path("edit")) for one in loaded.edits[path]]
            else:
                said.append(render.render(loaded.new_file(path).read_text(), names, loaded.new_file(path)))
    return "\n".join(said)


def test_the_sections_are_complete() -> None:
    wanted = [f"{section}-{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    further = [f"{letter}{number}" for letter, count in (("S", 5), ("L", 10)) for number in range(1, count + 1)]
    assert list(REQUIREMENTS) == wanted + further


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=lambda one: str(one["id"]))
def test_each_requirement_has_something_that_stands_for_it(requirement: dict[str, str]) -> None:
    standing = [name for name, ids in scenarios().items() if requirement["id"] in ids]
    check = requirement.get("check", "")
    assert bool(standing) != bool(check), "a scenario, or else a test of the patches"
    if check:
        file, function = check.split("::")
        tree = ast.parse((ROOT / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_scenarios_and_checks_name_requirements_that_there_are() -> None:
    assert len(scenarios()) >= 30
    assert {one for ids in scenarios().values() for one in ids} <= set(REQUIREMENTS)
    assert checked() <= set(REQUIREMENTS)
    assert len(checked()) > 20, "the pattern finds them"


def test_the_rubric() -> None:
    items = data("rubric.toml")["item"]
    assert sum(item.get("points", 0) for item in items) == 20
    assert not [item for item in items if "report" in item.get("checks", ()) or item["stage"] == "cost"]
    patterns = [pattern for item in items for pattern in item.get("demands", ())]
    assert all(any(fnmatchcase(one, pattern) for one in REQUIREMENTS) for pattern in patterns)
    judged = {one for ids in scenarios().values() for one in ids}
    for one in judged:
        assert sum(fnmatchcase(one, pattern) for pattern in patterns) == 1, f"{one} has points, once"
    assert {item["id"] for item in items if item.get("mandatory")} == {"readable", "applies", "compiles", "goes-on"}


def test_what_need_not_be_thought_of_costs_nothing() -> None:
    free = {"3.5-3", "3.5-4", "3.5-5"}
    patterns = [pattern for item in data("rubric.toml")["item"] for pattern in item.get("demands", ())]
    assert not [one for one in free if any(fnmatchcase(one, pattern) for pattern in patterns)]
    assert not free & checked()
    assert not [path for path in (HERE / "scenarios").iterdir() if re.search("SCENARIO_CPUS|cpus=", path.read_text())]


def test_it_is_for_32_bit_x86() -> None:
    said = rendered(HERE)
    assert "\tdef_bool y\n\tdepends on X86_32\n" in said
    tables = [path for path in series.load(HERE).touched if path.endswith(".tbl")]
    assert tables == ["arch/x86/entry/syscalls/syscall_32.tbl"]


@pytest.mark.parametrize("base", ["linux-4.15", "debian-6.12"])
def test_the_series_is_small(base: str) -> None:
    loaded = series.load(HERE, None, base)
    assert 2 <= len(loaded.patches) <= 3
    assert [loaded.parameters[name] for name in ("insert_nr", "search_nr", "delete_nr")] == (
        [385, 386, 387] if base == "linux-4.15" else [463, 464, 465]
    )


def test_there_are_at_least_twenty_mutants() -> None:
    assert len({one["name"] for one in MUTANTS}) == len(MUTANTS) >= 20
    assert len({repr(one["change"]) for one in MUTANTS}) == len(MUTANTS)


@EACH_MUTANT
def test_each_mutant_is_made_and_differs(mutant: dict[str, Any], tmp_path: Path) -> None:
    assert set(mutant["names"]) <= {one for ids in scenarios().values() for one in ids}
    assert mutant["mistake"].endswith(".")
    directory = tmp_path / "kvs"
    shutil.copytree(HERE, directory)
    for change in mutant["change"]:
        path = directory / change.get("file", data("mutants.toml")["code"])
        assert path.read_text().count(change["old"]) == 1, change["old"]
        path.write_text(path.read_text().replace(change["old"], change["new"]))
    assert rendered(directory) != rendered(HERE)
