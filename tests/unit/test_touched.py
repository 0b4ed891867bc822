"""What a change of an assignment's files is about."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from patchgen import assignment
from patchgen.cli import test_command
from patchgen.mutation import catalogue, touched
from patchgen.mutation.catalogue import Change, Mutant
from patchgen.testing.lab import Scenario

KVS = assignment.load("kvs")
MUTANTS = catalogue.load(KVS)
CODE = "files/kernel/kvs.c.j2"


def mutant(name: str, requirement: str, *, old: str) -> Mutant:
    change = (Change(file="a.c", old=old, new="x"),)
    return Mutant(name=name, mistake="It is wrong.", names=(requirement,), stage="test", change=change)


def test_the_nearest_comes_first_and_what_is_far_away_does_not_come() -> None:
    lines = [f"line {number}\n" for number in range(100)]
    mutants = [
        mutant("far", "3", old="line 99\n"),
        mutant("near", "2", old="line 55\n"),
        mutant("at", "1", old="line 50\n"),
    ]
    before = {"a.c": "".join(lines)}
    after = {"a.c": "".join([*lines[:50], "another\n", *lines[51:]])}
    assert touched.about(before, after, mutants) == ["1", "2"]


@pytest.mark.parametrize(
    ("old", "new", "requirement"),
    [
        ("rb_replace_node(&old->node, &entry->node, &kvs_tree);", "", "3.1-3"),
        ("entry->vallen > max_vallen", "entry->vallen >= max_vallen", "3.2-1"),
        ("a->keylen != b->keylen", "a->keylen < b->keylen", "L2"),
    ],
)
def test_a_change_of_a_template_is_about_what_its_mutants_break(old: str, new: str, requirement: str) -> None:
    files = touched.texts(KVS)
    assert old in files[CODE]
    assert requirement in touched.about(files, {**files, CODE: files[CODE].replace(old, new)}, MUTANTS)[:4]


@pytest.mark.parametrize(
    ("path", "name"),
    [("scenarios/many.c", "ten-thousand-entries"), ("scenarios/machine.py", "failures-log-nothing")],
)
def test_a_change_of_scenarios_is_about_them(path: str, name: str) -> None:
    files = touched.texts(KVS)
    assert name in touched.about(files, {**files, path: files[path] + "\n"}, MUTANTS)


def test_a_file_that_comes_or_goes_is_a_change() -> None:
    assert touched.about({}, {"scenarios/new.py": "def something(lab):\n"}, ()) == ["something"]
    assert touched.about({"a.c": "line\n"}, {}, [mutant("at", "1", old="line\n")]) == ["1"]


def test_what_has_no_say_is_not_looked_at(tmp_path: Path) -> None:
    for name in ("a.toml", "__pycache__/a.pyc", ".a.toml.swp", "rubric.toml", "kill_matrix.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    one = dataclasses.replace(KVS, directory=tmp_path)
    assert touched.texts(one) == {"a.toml": "x"}
    before = touched.stamps(one)
    (tmp_path / "kill_matrix.json").write_text("xy")
    assert touched.stamps(one) == before
    (tmp_path / "a.toml").write_text("xy")
    assert touched.stamps(one) != before


def test_scenarios_begin_with_those_that_are_named() -> None:
    scenarios = [
        Scenario(name, (requirement,), print, "", 1) for name, requirement in (("a", "1"), ("b", "2"), ("c", "3"))
    ]
    order = test_command._begun_with(["c", "2", "gone"], scenarios)
    assert [one.name for one in order] == ["c", "b", "a"]
